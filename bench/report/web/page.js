// The report's own part: charts where the page has places for them, tables and commands that copy.
(function () {
  "use strict";
  performance.mark("begin");
  var data = JSON.parse(document.getElementById("data").textContent);
  data.sections.forEach(function (s, i) {
    var place = document.getElementById("charts-" + i);
    if (!place) return;
    var g = leasestorm.group(s.names, s.most);
    leasestorm.legend(place, g);
    s.parts.forEach(function (p) {
      if (p.title) place.appendChild(leasestorm.make("h3", "", p.title));
      var box = leasestorm.make("div", "charts");
      place.appendChild(box);
      (p.charts || []).forEach(function (c) { leasestorm.chart(box, c, g); });
      (p.heats || []).forEach(function (h) { leasestorm.heat(box, h, g); });
    });
  });
  document.querySelectorAll("table.sorts").forEach(leasestorm.table);
  document.querySelectorAll("pre.command").forEach(function (p) {
    p.after(leasestorm.copier("copy", function () { return p.textContent; }));
  });
  document.querySelectorAll("img.figure").forEach(function (img) {
    var a = leasestorm.make("a", "copy", "save this figure (SVG)");
    a.href = img.src; a.download = img.dataset.file;
    img.parentNode.after(a);
  });
  requestAnimationFrame(function () { requestAnimationFrame(function () { performance.mark("drawn"); window.done = true; }); });
})();
