// Charts of leasestorm: curves by uPlot, maps of counts on a canvas, a legend of buttons, files of
// each figure, tables that sort and copy. The report, the live page and the playground share it.
//
// A chart's data is {title, xLabel, yLabel, x: [], series: [{name, key, y: [], low: [], high: [],
// thin}], band: {from, to, text}, marks: [{at, text, key}], log, nines, fit}. key is the number of the
// contestant: its colour and dashes, and the button that hides it. null is a gap. fit: y need not begin
// at zero.
var leasestorm = (function () {
  "use strict";

  // The colours of Okabe and Ito (2008), which colour-blind readers can tell apart, and dashes. Each
  // of 49 lines has its own pair, as in the printed figures.
  var colours = 7;
  var dashes = [[], [9, 3], [3, 2], [9, 3, 2, 3], [14, 4], [6, 2, 2, 2, 2, 2], [1.5, 1.5]];
  function css(name) { return getComputedStyle(document.documentElement).getPropertyValue(name).trim(); }
  function colour(key) { return css("--c" + key % colours); }
  function dash(key) { return dashes[(key + Math.floor(key / colours)) % dashes.length]; }

  function make(tag, cls, text) {
    var e = document.createElement(tag);
    if (cls) e.className = cls;
    if (text !== undefined) e.textContent = text;
    return e;
  }

  // ---- Numbers ----

  function short(v) {
    if (v === null || v === undefined) return "–";
    var a = Math.abs(v);
    if (a >= 1e7) {
      var e = Math.floor(Math.log10(a) + 1e-12), m = Number((v / Math.pow(10, e)).toPrecision(3));
      var power = "10" + String(e).replace(/[0-9]/g, function (d) { return "⁰¹²³⁴⁵⁶⁷⁸⁹"[d]; });
      return m === 1 ? power : m + "·" + power;
    }
    if (a >= 1000) return Math.round(v).toString().replace(/\B(?=(\d{3})+$)/g, ",");
    return Number(v.toPrecision(4)).toString();
  }
  // nines is the label of a percentile that stands at log10(1/(1-p)).
  function nines(v) {
    if (v === 0) return "0";
    if (v % 1) return "";
    return v < 2 ? "90" : "99" + (v > 2 ? "." + "9".repeat(v - 2) : "");
  }

  // ---- Groups: charts that share a legend and a cursor ----

  var groups = [], serial = 0;

  // group makes a legend for contestants, by name. Only the first `most` are shown at the start.
  function group(names, most) {
    var g = { sync: "g" + serial++, names: names, shown: names.map(function (_, k) { return !most || k < most; }), charts: [], keys: [] };
    groups.push(g);
    g.apply = function () {
      g.keys.forEach(function (b, k) { b.setAttribute("aria-pressed", g.shown[k]); });
      g.charts.forEach(function (c) { c.apply(); });
    };
    g.toggle = function (k) { g.shown[k] = !g.shown[k]; g.apply(); };
    g.only = function (k) {
      var alone = g.shown[k] && g.shown.filter(Boolean).length === 1;
      g.shown = g.shown.map(function (_, i) { return alone || i === k; });
      g.apply();
    };
    // drop takes the group's charts down, before others take their place.
    g.drop = function () {
      g.charts.forEach(function (c) { if (c.drop) c.drop(); });
      groups.splice(groups.indexOf(g), 1);
    };
    g.all = function () { g.shown = g.shown.map(function () { return true; }); g.apply(); };
    return g;
  }

  function sample(key) {
    var c = make("canvas");
    c.width = 56; c.height = 20;
    c.draw = function () {
      var x = c.getContext("2d");
      x.clearRect(0, 0, 56, 20);
      x.strokeStyle = colour(key); x.lineWidth = 4;
      x.setLineDash(dash(key).map(function (d) { return 2 * d; }));
      x.beginPath(); x.moveTo(0, 10); x.lineTo(56, 10); x.stroke();
    };
    c.draw();
    return c;
  }

  // legend puts a group's buttons into parent. A click hides a line, "only" or Ctrl-click isolates it.
  function legend(parent, g) {
    var box = make("div", "keys");
    box.setAttribute("role", "group");
    box.setAttribute("aria-label", "lines of the charts below");
    g.names.forEach(function (name, k) {
      var both = make("span"), b = make("button", "key"), only = make("button", "only", "only");
      b.type = only.type = "button";
      b.appendChild(sample(k));
      b.appendChild(document.createTextNode(name));
      b.title = "hide or show; with Ctrl: show this one only";
      only.setAttribute("aria-label", "show only " + name + ", or all again");
      b.addEventListener("click", function (e) { e.ctrlKey || e.metaKey ? g.only(k) : g.toggle(k); });
      only.addEventListener("click", function () { g.only(k); });
      both.appendChild(b);
      if (g.names.length > 1) both.appendChild(only); else b.classList.add("alone");
      box.appendChild(both);
      g.keys.push(b);
    });
    if (g.names.length > 2) {
      var all = make("button", "everything", "all");
      all.type = "button";
      all.addEventListener("click", g.all);
      box.appendChild(all);
    }
    parent.appendChild(box);
    g.apply();
    return box;
  }

  // ---- A chart ----

  var pending = new Map(); // charts that are built when they come into sight
  var seen = "IntersectionObserver" in window ? new IntersectionObserver(function (all) {
    all.forEach(function (e) { if (e.isIntersecting && pending.has(e.target)) pending.get(e.target)(); });
  }, { rootMargin: "200px" }) : null;
  var resized = "ResizeObserver" in window ? new ResizeObserver(function (all) {
    all.forEach(function (e) { if (e.target.chart) e.target.chart.resize(); });
  }) : null;

  // chart makes a figure of data in parent, one of the group g.
  function chart(parent, data, g) {
    var fig = make("figure", "chart"), cap = make("figcaption", "", data.title), out = make("output", "readout"), box = make("div", "plot");
    out.setAttribute("aria-hidden", "true"); // the table has the numbers
    fig.setAttribute("role", "figure");
    fig.setAttribute("aria-label", data.title);
    var c = { data: data, group: g, figure: fig, u: null };
    box.chart = c;
    saves(cap, data.title, { SVG: function () { return svg(c); }, PNG: function (done) { png(c, done); }, CSV: function () { return csv(c.data); } });
    fig.appendChild(cap); fig.appendChild(box); fig.appendChild(out); parent.appendChild(fig);
    g.charts.push(c);

    // Each line is one series of uPlot; one with extremes is three, of which two hold a band.
    function layout() {
      var lines = [], bands = [], rows = [c.data.x];
      c.data.series.forEach(function (s) {
        var at = rows.length;
        lines.push({ key: s.key, line: s });
        rows.push(s.y);
        if (s.low) {
          lines.push({ key: s.key }, { key: s.key });
          rows.push(s.high, s.low);
          bands.push({ series: [at + 1, at + 2], fill: function () { return colour(s.key) + "30"; } });
        }
      });
      return { lines: lines, bands: bands, rows: rows };
    }

    function axis(extra) {
      return Object.assign({
        stroke: function () { return css("--ink"); }, font: "11px system-ui, Arial, sans-serif", labelFont: "11px system-ui, Arial, sans-serif",
        grid: { stroke: function () { return css("--grid"); }, width: 1 }, ticks: { stroke: function () { return css("--grid"); }, width: 1 },
      }, extra);
    }

    c.build = function () {
      if (c.u) return;
      pending.delete(box);
      var l = layout();
      c.lines = l.lines;
      c.u = new uPlot({
        width: Math.max(box.clientWidth, 240), height: 230,
        legend: { show: false },
        cursor: { sync: { key: g.sync, scales: ["x", null] }, drag: { x: true, y: false }, points: { show: false } },
        scales: { x: { time: false }, y: { distr: c.data.log ? 3 : 1, range: c.data.log || c.data.fit ? undefined : function (_, low, high) { return uPlot.rangeNum(Math.min(0, low || 0), high === null || high <= 0 ? 1 : high, { min: { pad: 0, soft: 0, mode: 1 }, max: { pad: .05, soft: 0, mode: 0 } }); } } },
        series: [{}].concat(l.lines.map(function (s) {
          return {
            label: g.names[s.key], show: g.shown[s.key], points: { show: false }, spanGaps: false,
            stroke: function () { return colour(s.key); }, dash: s.line && s.line.thin ? [] : dash(s.key),
            width: s.line ? (s.line.thin ? .8 : 1.7) : 0,
          };
        })),
        bands: l.bands,
        axes: [
          axis({ label: c.data.xLabel, labelSize: 18, size: 32, values: c.data.nines ? function (_, v) { return v.map(nines); } : function (_, v) { return v.map(short); } }),
          axis({ label: c.data.yLabel, labelSize: 18, size: 66, values: function (u, v) { return v.map(function (x) { return x === null || c.data.log && Math.abs(Math.log10(x) % 1) > 1e-9 ? "" : short(x); }); } }),
        ],
        hooks: { drawClear: [backdrop], draw: [foreground], setCursor: [readout] },
      }, l.rows, box);
      if (resized) resized.observe(box);
    };
    // apply shows what the group's legend shows.
    c.apply = function () {
      if (!c.u) return;
      c.u.batch(function () {
        c.lines.forEach(function (s, i) { if (c.u.series[i + 1].show !== g.shown[s.key]) c.u.setSeries(i + 1, { show: g.shown[s.key] }); });
      });
    };
    c.drop = function () {
      pending.delete(box);
      if (seen) seen.unobserve(box);
      if (resized) resized.unobserve(box);
      if (c.u) c.u.destroy();
      c.u = null;
      fig.remove();
    };
    // update takes new data with the same lines, as a run goes on.
    c.update = function (d) {
      c.data = d;
      if (c.u) c.u.setData(layout().rows);
    };
    c.resize = function (width) {
      if (c.u) c.u.setSize({ width: width || Math.max(box.clientWidth, 240), height: 230 });
    };

    function backdrop(u) {
      var b = c.data.band;
      if (!b) return;
      var from = u.valToPos(Math.max(b.from, u.scales.x.min), "x", true), to = u.valToPos(Math.min(b.to, u.scales.x.max), "x", true);
      if (to <= from) return;
      u.ctx.save();
      u.ctx.fillStyle = css("--shade");
      u.ctx.fillRect(from, u.bbox.top, to - from, u.bbox.height);
      u.ctx.restore();
    }
    function foreground(u) {
      marks(c, u).forEach(function (m, i) {
        var x = u.valToPos(m.at, "x", true), k = uPlot.pxRatio;
        u.ctx.save();
        u.ctx.strokeStyle = u.ctx.fillStyle = m.key === undefined ? css("--soft") : colour(m.key);
        if (m.brief) { // many lines: a sign at the top edge
          var y = u.bbox.top;
          u.ctx.lineWidth = 1.5 * k;
          u.ctx.beginPath();
          if (m.text === "collapsed") { // a cross
            u.ctx.moveTo(x - 4 * k, y); u.ctx.lineTo(x + 4 * k, y + 8 * k); u.ctx.moveTo(x + 4 * k, y); u.ctx.lineTo(x - 4 * k, y + 8 * k);
            u.ctx.stroke();
          } else { // a triangle
            u.ctx.moveTo(x - 4 * k, y); u.ctx.lineTo(x + 4 * k, y); u.ctx.lineTo(x, y + 7 * k);
            u.ctx.fill();
          }
          u.ctx.restore();
          return;
        }
        u.ctx.setLineDash([4 * k, 3 * k]);
        u.ctx.beginPath(); u.ctx.moveTo(x, u.bbox.top); u.ctx.lineTo(x, u.bbox.top + u.bbox.height); u.ctx.stroke();
        u.ctx.font = 10 * k + "px system-ui, Arial, sans-serif";
        u.ctx.textAlign = x > u.bbox.left + .8 * u.bbox.width ? "right" : "left";
        u.ctx.fillText(m.text, x + (u.ctx.textAlign === "left" ? 3 : -3) * k, u.bbox.top + (11 + 12 * (i % 4)) * k);
        u.ctx.restore();
      });
    }
    function readout(u) {
      var i = u.cursor.idx;
      out.replaceChildren();
      if (i === null || i === undefined) return;
      out.append(make("b", "", c.data.nines ? "p" + (100 * (1 - Math.pow(10, -c.data.x[i]))).toPrecision(5) : short(c.data.x[i]) + " " + (c.data.xUnit || "")));
      var n = 0;
      c.data.series.forEach(function (s) {
        var y = s.y[i];
        if (!g.shown[s.key] || s.thin || y === null || y === undefined || n++ > 11) return;
        out.append(" · " + g.names[s.key] + " " + short(y));
      });
    }

    if (seen) { pending.set(box, c.build); seen.observe(box); } else c.build();
    return c;
  }

  // marks are those in sight. The verdicts of more than four lines get signs without words: a cross for a
  // collapse, a triangle for a recovery.
  function marks(c, u) {
    var shown = c.group.shown, brief = shown.filter(Boolean).length > 4;
    return (c.data.marks || []).filter(function (m) {
      return m.at >= u.scales.x.min && m.at <= u.scales.x.max && (m.key === undefined || shown[m.key]);
    }).map(function (m) { return { at: m.at, text: m.text, key: m.key, brief: brief && m.key !== undefined }; });
  }

  // ---- Files of a figure ----

  function download(name, blob) {
    var a = make("a"), url = URL.createObjectURL(blob);
    a.href = url; a.download = name;
    document.body.appendChild(a); a.click(); a.remove();
    setTimeout(function () { URL.revokeObjectURL(url); }, 10000);
  }
  function fileName(title) { return title.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "").slice(0, 60) || "figure"; }

  // saves puts a button for each kind of file into a caption.
  function saves(cap, title, kinds) {
    var box = make("span", "saves");
    Object.keys(kinds).forEach(function (kind) {
      var b = make("button", "", kind);
      b.type = "button";
      b.setAttribute("aria-label", "save " + title + " as " + kind);
      b.addEventListener("click", function () {
        var name = fileName(title) + "." + kind.toLowerCase();
        if (kind === "PNG") return kinds.PNG(function (blob) { download(name, blob); });
        download(name, new Blob([kinds[kind]()], { type: kind === "SVG" ? "image/svg+xml" : "text/csv" }));
      });
      box.appendChild(b);
    });
    cap.appendChild(box);
  }

  function quote(v) {
    v = v === null || v === undefined ? "" : String(v);
    return /[",\n]/.test(v) ? '"' + v.replace(/"/g, '""') + '"' : v;
  }
  // csv is a chart's data. A name that a spreadsheet would run as a formula gets an apostrophe.
  function csv(d) {
    var head = [d.xLabel], columns = [d.x];
    d.series.forEach(function (s) {
      var name = (s.label || s.name).replace(/^[=+\-@\t]/, "'$&");
      head.push(name); columns.push(s.y);
      if (s.low) { head.push(name + " lowest", name + " highest"); columns.push(s.low, s.high); }
    });
    return [head].concat(d.x.map(function (_, i) { return columns.map(function (c) { return c[i]; }); }))
      .map(function (row) { return row.map(quote).join(","); }).join("\n") + "\n";
  }

  // keysOf lays out the names of the lines that are shown, in rows of a figure's width.
  function keysOf(c, width, measure) {
    var x = 0, row = 0, all = [];
    c.group.names.forEach(function (name, k) {
      if (!c.group.shown[k] || !c.data.series.some(function (s) { return s.key === k; })) return;
      var w = 40 + measure(name);
      if (x + w > width && x > 0) { x = 0; row++; }
      all.push({ name: name, key: k, x: x, row: row });
      x += w;
    });
    return { keys: all, height: 24 + 16 * (row + 1) };
  }

  // png is the chart as it stands, on a background, with its title and the names of its lines.
  function png(c, done) {
    c.build();
    var from = c.u.ctx.canvas, k = uPlot.pxRatio, to = make("canvas"), x = to.getContext("2d");
    x.font = "11px system-ui, Arial, sans-serif";
    var l = keysOf(c, from.width / k, function (t) { return x.measureText(t).width; });
    to.width = from.width; to.height = from.height + l.height * k;
    x = to.getContext("2d");
    x.fillStyle = css("--page"); x.fillRect(0, 0, to.width, to.height);
    x.scale(k, k);
    x.fillStyle = css("--ink"); x.font = "bold 13px system-ui, Arial, sans-serif"; x.fillText(c.data.title, 4, 16);
    x.font = "11px system-ui, Arial, sans-serif";
    l.keys.forEach(function (e) {
      var y = 32 + 16 * e.row;
      x.strokeStyle = colour(e.key); x.lineWidth = 2; x.setLineDash(dash(e.key));
      x.beginPath(); x.moveTo(e.x + 4, y - 4); x.lineTo(e.x + 28, y - 4); x.stroke();
      x.fillText(e.name, e.x + 32, y);
    });
    x.setTransform(1, 0, 0, 1, 0, 0);
    x.drawImage(from, 0, l.height * k);
    to.toBlob(done, "image/png");
  }

  function escape(t) { return String(t).replace(/[&<>"']/g, function (ch) { return "&#" + ch.charCodeAt(0) + ";"; }); }

  // svg draws the chart from its data, at the scales that are on the screen.
  function svg(c) {
    c.build();
    var u = c.u, k = uPlot.pxRatio, w = u.width, ink = css("--ink"), soft = css("--soft"), grid = css("--grid"), o = [];
    var meter = make("canvas").getContext("2d");
    meter.font = "11px Arial, sans-serif";
    var l = keysOf(c, w, function (t) { return meter.measureText(t).width; }), top = l.height;
    var box = { x: u.bbox.left / k, y: u.bbox.top / k + top, w: u.bbox.width / k, h: u.bbox.height / k };
    function n(v) { return Number(v.toFixed(2)); }
    function px(v) { return n(u.valToPos(v, "x") + box.x); }
    function py(v) { return n(u.valToPos(v, "y") + box.y); }
    function text(x, y, t, extra) { o.push('<text x="' + n(x) + '" y="' + n(y) + '" ' + (extra || "") + ">" + escape(t) + "</text>"); }
    function line(x1, y1, x2, y2, extra) { o.push('<line x1="' + n(x1) + '" y1="' + n(y1) + '" x2="' + n(x2) + '" y2="' + n(y2) + '" ' + extra + "/>"); }
    var h = u.height + top;
    o.push('<svg xmlns="http://www.w3.org/2000/svg" width="' + w + '" height="' + h + '" viewBox="0 0 ' + w + " " + h + '" font-family="Arial, Helvetica, sans-serif" font-size="11" fill="' + ink + '">');
    o.push('<rect width="100%" height="100%" fill="' + css("--page") + '"/>');
    text(4, 16, c.data.title, 'font-size="13" font-weight="bold"');
    l.keys.forEach(function (e) {
      var y = 32 + 16 * e.row;
      line(e.x + 4, y - 4, e.x + 28, y - 4, 'stroke="' + colour(e.key) + '" stroke-width="2" stroke-dasharray="' + dash(e.key).join(" ") + '"');
      text(e.x + 32, y, e.name);
    });
    [0, 1].forEach(function (i) {
      var a = u.axes[i], labels = a._values || [], splits = a._splits || [];
      splits.forEach(function (v, j) {
        if (v === null) return;
        if (i === 0) { line(px(v), box.y, px(v), box.y + box.h, 'stroke="' + grid + '"'); text(px(v), box.y + box.h + 14, labels[j] || "", 'text-anchor="middle"'); }
        else { line(box.x, py(v), box.x + box.w, py(v), 'stroke="' + grid + '"'); text(box.x - 6, py(v) + 4, labels[j] || "", 'text-anchor="end"'); }
      });
    });
    text(box.x + box.w / 2, h - 4, c.data.xLabel, 'text-anchor="middle"');
    text(0, 0, c.data.yLabel, 'text-anchor="middle" transform="translate(12 ' + n(box.y + box.h / 2) + ') rotate(-90)"');
    o.push('<clipPath id="c"><rect x="' + n(box.x) + '" y="' + n(box.y) + '" width="' + n(box.w) + '" height="' + n(box.h) + '"/></clipPath><g clip-path="url(#c)">');
    var b = c.data.band;
    if (b) o.push('<rect x="' + px(b.from) + '" y="' + n(box.y) + '" width="' + n(px(b.to) - px(b.from)) + '" height="' + n(box.h) + '" fill="#000" fill-opacity=".08"/>');
    function path(ys) {
      var d = "", pen = false;
      ys.forEach(function (y, i) {
        if (y === null || y === undefined || c.data.log && y <= 0) { pen = false; return; }
        d += (pen ? "L" : "M") + px(c.data.x[i]) + " " + py(y);
        pen = true;
      });
      return d;
    }
    c.data.series.forEach(function (s) {
      if (!c.group.shown[s.key]) return;
      if (s.low) {
        var back = [];
        for (var i = c.data.x.length - 1; i >= 0; i--) if (s.low[i] !== null && s.low[i] !== undefined) back.push("L" + px(c.data.x[i]) + " " + py(s.low[i]));
        var there = path(s.high);
        if (there && back.length) o.push('<path d="' + there.replace(/(?!^)M/g, "L") + back.join("") + 'Z" fill="' + colour(s.key) + '" fill-opacity=".19"/>');
      }
      o.push('<path d="' + path(s.y) + '" fill="none" stroke="' + colour(s.key) + '" stroke-width="' + (s.thin ? .8 : 1.7) + '" stroke-dasharray="' + (s.thin ? "" : dash(s.key).join(" ")) + '"/>');
    });
    marks(c, u).forEach(function (m, i) {
      var x = px(m.at), fill = m.key === undefined ? soft : colour(m.key), right = x > box.x + .8 * box.w;
      if (m.brief) {
        var at = '<path d="M' + n(x - 4) + " " + n(box.y);
        o.push(m.text === "collapsed" ? at + 'l8 8m0-8l-8 8" fill="none" stroke-width="1.5" stroke="' + fill + '"/>' : at + 'h8l-4 7z" fill="' + fill + '"/>');
        return;
      }
      line(x, box.y, x, box.y + box.h, 'stroke="' + fill + '" stroke-dasharray="4 3"');
      text(x + (right ? -3 : 3), box.y + 11 + 12 * (i % 4), m.text, 'font-size="10" fill="' + fill + '"' + (right ? ' text-anchor="end"' : ""));
    });
    o.push("</g></svg>");
    return o.join("\n");
  }

  // ---- Heat maps: counts over time and a logarithmic value ----

  // heat makes a figure of data: {title, key, xLabel, yLabel, from, step, low, perDecade, rows,
  // columns: ["base64 of a byte a row", …]}. A byte is the logarithm of a count, 0 for none.
  function heat(parent, data, g) {
    var fig = make("figure", "heat"), cap = make("figcaption", "", data.title), canvas = make("canvas");
    fig.setAttribute("role", "figure");
    fig.setAttribute("aria-label", data.title);
    var c = { figure: fig, data: data };
    saves(cap, data.title, { SVG: function () { return heatSVG(data); }, PNG: function (done) { c.build(); canvas.toBlob(done, "image/png"); }, CSV: function () { return heatCSV(data); } });
    fig.appendChild(cap); fig.appendChild(canvas); parent.appendChild(fig);
    g.charts.push(c);
    var columns = data.columns.map(function (t) { return atob(t); });

    c.draw = function (width) {
      pending.delete(canvas);
      var k = window.devicePixelRatio || 1, w = width || canvas.clientWidth || 480, h = 210, left = 58, bottom = 34, x = canvas.getContext("2d");
      canvas.width = w * k; canvas.height = h * k;
      x.scale(k, k);
      x.fillStyle = css("--page"); x.fillRect(0, 0, w, h);
      var cw = (w - left - 8) / columns.length, ch = (h - bottom - 6) / data.rows, most = 1;
      columns.forEach(function (t) { for (var r = 0; r < t.length; r++) most = Math.max(most, t.charCodeAt(r)); });
      var hue = colour(data.key);
      columns.forEach(function (t, i) {
        for (var r = 0; r < t.length; r++) {
          var v = t.charCodeAt(r);
          if (!v) continue;
          x.globalAlpha = .12 + .88 * v / most;
          x.fillStyle = hue;
          x.fillRect(left + i * cw, h - bottom - (r + 1) * ch, cw + .5, ch + .5);
        }
      });
      x.globalAlpha = 1;
      x.fillStyle = css("--ink"); x.strokeStyle = css("--soft"); x.lineWidth = 1; x.font = "11px system-ui, Arial, sans-serif";
      x.strokeRect(left, 6, w - left - 8, h - bottom - 6);
      x.textAlign = "right";
      for (var r = 0; r <= data.rows; r += data.perDecade) x.fillText(short(data.low * Math.pow(10, r / data.perDecade)), left - 5, h - bottom - r * ch + 4);
      x.textAlign = "center";
      var to = data.from + data.step * columns.length, tick = niceStep((to - data.from) / 7);
      for (var t = Math.ceil(data.from / tick) * tick; t <= to + 1e-9; t += tick) x.fillText(short(Number(t.toFixed(6))), left + (t - data.from) / data.step * cw, h - bottom + 14);
      x.fillText(data.xLabel, left + (w - left) / 2, h - 4);
      x.save(); x.translate(11, (h - bottom) / 2); x.rotate(-Math.PI / 2); x.fillText(data.yLabel, 0, 0); x.restore();
      if (data.from < 0 && to > 0) { x.setLineDash([4, 3]); x.beginPath(); x.moveTo(left - data.from / data.step * cw, 6); x.lineTo(left - data.from / data.step * cw, h - bottom); x.stroke(); }
      c.drawn = true;
    };
    c.apply = function () { fig.hidden = !g.shown[data.key]; };
    c.build = function () { if (!c.drawn) c.draw(); };
    c.resize = function (width) { if (c.drawn) c.draw(width); };
    canvas.chart = c;
    c.apply();
    if (seen) { pending.set(canvas, function () { c.draw(); if (resized) resized.observe(fig); fig.chart = c; }); seen.observe(canvas); } else c.draw();
    return c;
  }
  function niceStep(v) {
    var p = Math.pow(10, Math.floor(Math.log10(v)));
    return [1, 2, 5, 10].map(function (m) { return m * p; }).find(function (s) { return s >= v; });
  }
  function heatSVG(d) {
    var w = 640, h = 260, left = 58, top = 24, bottom = 34, wide = w - left - 8, high = h - bottom - top, most = 1, o = [];
    var columns = d.columns.map(function (t) { return atob(t); }), cw = wide / columns.length, ch = high / d.rows;
    columns.forEach(function (t) { for (var r = 0; r < t.length; r++) most = Math.max(most, t.charCodeAt(r)); });
    function n(v) { return Number(v.toFixed(2)); }
    function text(x, y, t, extra) { o.push('<text x="' + n(x) + '" y="' + n(y) + '" ' + (extra || "") + ">" + escape(t) + "</text>"); }
    o.push('<svg xmlns="http://www.w3.org/2000/svg" width="' + w + '" height="' + h + '" viewBox="0 0 ' + w + " " + h + '" font-family="Arial, Helvetica, sans-serif" font-size="11" fill="' + css("--ink") + '">');
    o.push('<rect width="100%" height="100%" fill="' + css("--page") + '"/>');
    text(4, 16, d.title, 'font-size="13" font-weight="bold"');
    o.push('<g fill="' + colour(d.key) + '">');
    columns.forEach(function (t, i) {
      for (var r = 0; r < t.length; r++) {
        var v = t.charCodeAt(r);
        if (v) o.push('<rect x="' + n(left + i * cw) + '" y="' + n(top + high - (r + 1) * ch) + '" width="' + n(cw + .3) + '" height="' + n(ch + .3) + '" fill-opacity="' + n(.12 + .88 * v / most) + '"/>');
      }
    });
    o.push('</g><rect x="' + left + '" y="' + top + '" width="' + n(wide) + '" height="' + n(high) + '" fill="none" stroke="' + css("--soft") + '"/>');
    for (var r = 0; r <= d.rows; r += d.perDecade) text(left - 5, top + high - r * ch + 4, short(d.low * Math.pow(10, r / d.perDecade)), 'text-anchor="end"');
    var to = d.from + d.step * columns.length, tick = niceStep((to - d.from) / 7);
    for (var t = Math.ceil(d.from / tick) * tick; t <= to + 1e-9; t += tick) text(left + (t - d.from) / d.step * cw, top + high + 14, short(Number(t.toFixed(6))), 'text-anchor="middle"');
    text(left + wide / 2, h - 4, d.xLabel, 'text-anchor="middle"');
    text(0, 0, d.yLabel, 'text-anchor="middle" transform="translate(12 ' + n(top + high / 2) + ') rotate(-90)"');
    o.push("</svg>");
    return o.join("\n");
  }
  function heatCSV(d) {
    var out = [d.xLabel + "," + d.yLabel + " from," + d.yLabel + " to,level"];
    d.columns.forEach(function (text, i) {
      var t = atob(text);
      for (var r = 0; r < t.length; r++) if (t.charCodeAt(r)) out.push([d.from + i * d.step, d.low * Math.pow(10, r / d.perDecade), d.low * Math.pow(10, (r + 1) / d.perDecade), t.charCodeAt(r)].map(short4).join(","));
    });
    return out.join("\n") + "\n";
  }
  function short4(v) { return Number(v.toPrecision(6)); }

  // ---- Tables ----

  // table makes the head of a table sort, and puts buttons that copy it before it.
  function table(t) {
    var heads = Array.from(t.tHead.rows[0].cells), body = t.tBodies[0];
    heads.forEach(function (th, i) {
      var b = make("button", "", th.textContent);
      b.type = "button";
      b.title = "sort by this column";
      b.addEventListener("click", function () {
        var down = th.getAttribute("aria-sort") === "ascending";
        heads.forEach(function (o) { o.removeAttribute("aria-sort"); });
        th.setAttribute("aria-sort", down ? "descending" : "ascending");
        Array.from(body.rows).sort(function (a, b) {
          var x = value(a.cells[i]), y = value(b.cells[i]);
          if (x === y) return 0;
          if (x === null || y === null) return x === null ? 1 : -1; // without a value: last, both ways
          var way = typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y));
          return down ? -way : way;
        }).forEach(function (row) { body.appendChild(row); });
      });
      th.replaceChildren(b);
    });
    var bar = make("p", "copy");
    [["Markdown", markdown], ["CSV", tableCSV]].forEach(function (k) {
      bar.append(copier("copy as " + k[0], function () { return k[1](t); }), " ");
    });
    t.parentNode.parentNode.insertBefore(bar, t.parentNode);
  }
  function value(cell) {
    var v = cell.dataset.v;
    if (v !== undefined) return v === "" ? null : Number(v);
    return cell.textContent === "–" ? null : cell.textContent;
  }
  function rowsOf(t) {
    return Array.from(t.rows).map(function (r) { return Array.from(r.cells).map(function (c) { return c.textContent.trim(); }); });
  }
  function markdown(t) {
    var rows = rowsOf(t).map(function (r) { return "| " + r.map(function (v) { return v.replace(/\|/g, "\\|"); }).join(" | ") + " |"; });
    rows.splice(1, 0, "|" + rowsOf(t)[0].map(function () { return " --- |"; }).join(""));
    return rows.join("\n") + "\n";
  }
  function tableCSV(t) {
    return rowsOf(t).map(function (r) { return r.map(function (v) { return quote(v.replace(/^[=+@\t]/, "'$&")); }).join(","); }).join("\n") + "\n";
  }

  // copier is a button that copies a text, or shows it where the browser forbids that.
  function copier(label, text) {
    var b = make("button", "copy", label);
    b.type = "button";
    b.addEventListener("click", function () {
      function done() { b.classList.add("copied"); b.textContent = "copied"; setTimeout(function () { b.textContent = label; b.classList.remove("copied"); }, 1500); }
      function show() {
        var area = make("textarea");
        area.value = text();
        b.after(area);
        area.select();
        if (document.execCommand("copy")) { area.remove(); done(); }
      }
      navigator.clipboard ? navigator.clipboard.writeText(text()).then(done, show) : show();
    });
    return b;
  }

  // ---- The page around ----

  // clear forgets all charts: the page is about to draw others.
  function clear() {
    every(function (c) { if (c.u) c.u.destroy(); });
    groups.length = 0;
    pending.clear();
  }
  function every(f) { groups.forEach(function (g) { g.charts.forEach(f); }); }
  function recolour() {
    document.querySelectorAll(".keys canvas").forEach(function (c) { c.draw(); });
    every(function (c) { if (c.u) c.u.redraw(false); else if (c.drawn) c.draw(); });
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
  // A canvas prints as the bitmap that it is: on paper all charts are there, light, as wide as a page.
  function paper(on) {
    document.documentElement.classList.toggle("paper", on);
    if (on) every(function (c) { c.build(); });
    every(function (c) { c.resize(on ? 640 : 0); });
    recolour();
  }
  addEventListener("beforeprint", function () { paper(true); });
  addEventListener("afterprint", function () { paper(false); });

  return { group: group, legend: legend, chart: chart, heat: heat, table: table, copier: copier, colour: colour, dash: dash, make: make, short: short, every: every, clear: clear, download: download, csv: csv, svg: svg };
})();
