// The live page: takes the steps of runs from /events, and draws them as the report does.
(function () {
  "use strict";
  var make = leasestorm.make, short = leasestorm.short;
  var drawn = 7, listed = 50, points = 600; // runs with curves, rows of the table, points of a curve
  var runs = [], known = new Map(); // in the order of their beginning; by name
  var state = document.getElementById("state"), note = document.getElementById("note"), place = document.getElementById("charts"), body = document.querySelector("#runs tbody");
  var charts = [], group = null, last = null, changed = false, over = false;

  function rate(name) { return function (row, run) { return row[name] / run.step; }; }
  function column(name) { return function (row) { return row[name]; }; }
  // ms is a time on a logarithmic axis, which has no place for 0.
  function ms(name) { return function (row) { return row[name] > 0 ? 1e3 * row[name] : null; }; }
  var figures = [
    { title: "active leases", yLabel: "leases", of: column("active"), fit: true },
    { title: "queue length", yLabel: "attempts", of: column("queued") },
    { title: "goodput: establishes", yLabel: "good answers per second", of: rate("good_establish") },
    { title: "goodput: checks", yLabel: "good answers per second", of: rate("good_check") },
    { title: "sojourn time, median", yLabel: "ms", of: ms("sojourn_p50_s"), log: true },
    { title: "sojourn time, 99th percentile", yLabel: "ms", of: ms("sojourn_p99_s"), log: true },
    { title: "wasted work", yLabel: "% of the workers' busy time", of: function (row) { return row.wasted_work === null ? null : 100 * row.wasted_work; } },
  ];

  // ---- What comes ----

  function begin(e) {
    var old = known.get(e.run);
    if (old) runs.splice(runs.indexOf(old), 1);
    var run = { name: e.run, leases: e.leases, step: e.step_s || .1, phases: e.phases || [], virtual: e.virtual, rows: [], verdict: "", over: "" };
    known.set(e.run, run);
    runs.push(run);
    while (runs.length > listed) known.delete(runs.shift().name);
    group = null; // other lines: other charts
    return run;
  }
  // step keeps a row in its place: a row that came before may come again, with more in it.
  function step(row) {
    var run = known.get(row.run) || begin({ run: row.run }), at = run.rows.length;
    while (at > 0 && run.rows[at - 1].t_s > row.t_s - 1e-9) at--;
    var same = at < run.rows.length && Math.abs(run.rows[at].t_s - row.t_s) < 1e-9;
    run.rows.splice(at, same ? 1 : 0, row);
    run.verdict = row.verdict;
  }
  function end(e) {
    var run = known.get(e.run);
    if (!run) return;
    run.over = e.over; run.verdict = e.verdict || run.verdict;
  }
  function heard(take) {
    return function (e) { take(JSON.parse(e.data)); changed = true; };
  }

  // ---- What is shown ----

  // buckets cuts the time into at most `points` pieces, so that no curve has more.
  function buckets(shown) {
    var last = 0, width = Math.min.apply(null, shown.map(function (s) { return s.step; }));
    shown.forEach(function (r) {
      if (r.rows.length) last = Math.max(last, r.rows[r.rows.length - 1].t_s);
    });
    width *= Math.max(1, Math.ceil(last / width / points));
    return { width: width, n: Math.max(1, Math.round(last / width + .4999)) };
  }
  // curve is a run's values in the buckets: the last one, with the least and the most of each, so
  // that no spike is lost.
  function curve(run, of, b) {
    var y = new Array(b.n).fill(null), low = y.slice(), high = y.slice();
    run.rows.forEach(function (row) {
      var v = of(row, run), i = Math.min(b.n - 1, Math.max(0, Math.ceil(row.t_s / b.width - 1e-6) - 1));
      if (v === null || v === undefined) return;
      y[i] = v;
      low[i] = low[i] === null ? v : Math.min(low[i], v);
      high[i] = high[i] === null ? v : Math.max(high[i], v);
    });
    return { y: y, low: low, high: high };
  }
  // marks are the beginnings of phases and the ends of runs. Runs have the phases of the latest one.
  function marks(shown) {
    var all = [], latest = shown[shown.length - 1];
    latest.phases.slice(1).forEach(function (p) { all.push({ at: p.start_s, text: p.name }); });
    shown.forEach(function (r, key) {
      if (r.over && r.rows.length) all.push({ at: r.rows[r.rows.length - 1].t_s, text: r.verdict || "not finished", key: key });
    });
    return all;
  }
  function data(f, shown, b) {
    var x = [];
    for (var i = 1; i <= b.n; i++) x.push(i * b.width);
    return {
      title: f.title, xLabel: "run time (s)", xUnit: "s", yLabel: f.yLabel, fit: f.fit, log: f.log, x: x, marks: marks(shown),
      series: shown.map(function (r, key) {
        var c = curve(r, f.of, b);
        return { name: r.name, key: key, y: c.y, low: c.low, high: c.high };
      }),
    };
  }
  function draw() {
    var shown = runs.slice(-drawn);
    if (!shown.length) return;
    var b = buckets(shown), all = figures.map(function (f) { return data(f, shown, b); });
    if (group) return charts.forEach(function (c, i) { c.update(all[i]); });
    if (last) last.drop();
    place.replaceChildren();
    last = group = leasestorm.group(shown.map(function (r) { return r.name; }));
    leasestorm.legend(place, group);
    var box = make("div", "charts");
    place.appendChild(box);
    charts = all.map(function (d) { return leasestorm.chart(box, d, group); });
    note.textContent = runs.length > drawn ? "The curves are those of the latest " + drawn + " runs." : "";
  }
  function table() {
    body.replaceChildren.apply(body, runs.slice().reverse().map(function (r) {
      var row = r.rows[r.rows.length - 1], tr = make("tr", r.over ? "gone" : "");
      var cells = row ? [row.t_s.toFixed(1) + " s", short(row.active), short(row.queued), short(row.good_establish / r.step), row.sojourn_p99_s === null ? "–" : short(1e3 * row.sojourn_p99_s) + " ms"] : ["–", "–", "–", "–", "–"];
      tr.appendChild(make("td", "text", r.name));
      cells.forEach(function (t) { tr.appendChild(make("td", "", t)); });
      tr.appendChild(make("td", "text " + ({ healthy: "good", recovered: "good", collapsed: "bad", degraded: "bad" }[r.verdict] || ""), r.over || r.verdict || "–"));
      return tr;
    }));
  }
  function show() {
    if (!changed || document.hidden) return;
    changed = false;
    table();
    draw();
    window.steps = runs.reduce(function (n, r) { return n + r.rows.length; }, 0); // for the tests, as done is
    window.done = true;
  }

  function say(text, lost) { state.textContent = text; state.classList.toggle("lost", !!lost); }
  var source = new EventSource("/events");
  source.onopen = function () { say("connected: table and curves are drawn anew as runs go on"); };
  source.onerror = function () { if (!over) say("the connection is lost: leasestorm has ended, or the page is connecting again", true); };
  source.onmessage = heard(step);
  source.addEventListener("begin", heard(begin));
  source.addEventListener("end", heard(end));
  source.addEventListener("over", function () {
    over = true; changed = true;
    source.close();
    say("leasestorm has ended; the curves stay as long as this page is open");
  });
  setInterval(show, 500);
  document.addEventListener("visibilitychange", show);
})();
