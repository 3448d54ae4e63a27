// The page: asks the engine what the law says while the form changes, runs the contestants, each in a
// worker, and draws what the report of these runs shows.
(function () {
  "use strict";
  const make = leasestorm.make, byId = (id) => document.getElementById(id), state = form.state;
  let desk = null; // the engine that answers at once
  let idle = []; // engines that wait for the next run
  let running = null; // those of this run
  let law = null, result = null;

  function say(id, text) { byId(id).hidden = !text; byId(id).textContent = text || ""; }
  const ask = () => ({ keys: Object.assign({}, state.keys), contestants: state.contestants.slice(), seed: state.seed });

  // ---- The law ----

  let asking = false, stale = false;
  async function askLaw() {
    if (asking) { stale = true; return; }
    asking = true;
    do {
      stale = false;
      try {
        if (desk.ended) desk = engines.start();
        law = (await desk.ask("law", ask())).answer;
        showLaw();
      } catch (e) { say("bad", e.message); }
    } while (stale);
    asking = false;
  }
  const num = (x) => leasestorm.short(x === null ? null : Math.abs(x) < 1000 ? Number(x.toPrecision(3)) : x);
  function showLaw() {
    say("bad", law.error);
    byId("law").replaceChildren();
    if (!law.error) {
      for (const [name, text, why] of [
        ["ρ, share of capacity that checks take", num(law.rho), ""], ["σ, checks that an establish costs", num(law.sigma), ""],
        ["β, timeouts that the surge needs", num(law.beta), ""], ["capacity, establishes per second", num(law.capacity), ""],
      ]) {
        const d = make("div");
        d.append(make("dt", "", name), make("dd", "", text + why));
        byId("law").appendChild(d);
      }
      form.show(law.values);
    } else form.show(null);
    (law.contestants || []).forEach((c, i) => showExpected(c, document.querySelectorAll("#contestants .contestant .verdict")[i]));
    byId("run").disabled = !!running || !!law.error || !desk || (law.contestants || []).some((c) => c.error);
    byId("file").disabled = !!law.error || !!law.contestants[0].error;
  }
  function showExpected(c, box) {
    if (!box) return;
    const says = make("div", "says");
    const put = (cls, head, text) => { says.className = "says " + cls; says.append(make("b", "", head), document.createTextNode(text)); };
    if (c.error) put("bad", "Cannot run", c.error);
    else if (!law.values.broken) put("", "No lease is lost", "The law is about leases that lapse. A run shows what happens.");
    else if (!c.covered) put("", "The law does not cover this one", "A run shows what happens. A fifo would never come back from β " + num(c.batch) + " on.");
    else if (c.back) put("good", "✓ The law: comes back", "after " + num(c.ttr_s) + " s. " + (c.border === null ? "No surge is too large." : "It would never come back from β " + num(c.border) + " on."));
    else put("bad", "✗ The law: never comes back", "β is " + num(law.beta) + "; this one never comes back from β " + num(c.border) + " on.");
    box.replaceChildren(says);
    if (c.covered && c.border !== null && law.beta !== null) {
      const m = make("meter");
      m.min = 0; m.max = 2 * c.border; m.optimum = 0; m.low = .8 * c.border; m.high = c.border; m.value = Math.min(law.beta, m.max);
      m.setAttribute("aria-label", "β, " + num(law.beta) + ", on the way to the border, " + num(c.border) + ", which is in the middle");
      m.title = "β as a bar; the border is in the middle";
      box.prepend(m);
    }
  }

  let timer = 0;
  function changed() {
    form.show(null);
    clearTimeout(timer);
    timer = setTimeout(() => history.replaceState(null, "", form.toHash()), 200);
    askLaw();
  }

  // ---- Runs ----

  async function run() {
    if (running) return;
    const asked = ask(), names = asked.contestants;
    if (new Set(names).size < names.length) return say("failed", "Two contestants are the same: change or remove one.");
    say("failed", "");
    const bars = progressBars(names), files = names.map(() => null), todo = names.map((_, i) => i);
    running = [];
    setRunning(true);
    try {
      await Promise.all(names.slice(0, engines.atOnce()).map(async () => {
        const engine = idle.pop() || engines.start();
        running.push(engine);
        for (let i = todo.shift(); i !== undefined; i = todo.shift()) {
          const t = performance.now();
          const m = await engine.ask("run", Object.assign({ run: i, folder: "/run" }, asked), bars[i].tell);
          files[i] = m.files;
          bars[i].done(m.answer, performance.now() - t);
        }
      }));
      const all = {};
      files.forEach((of, i) => Object.entries(of).forEach(([name, data]) => { all[i + "/" + name] = data; }));
      if (desk.ended) desk = engines.start();
      const m = await desk.ask("report", { folder: "/report" }, null, all);
      result = { page: m.answer, html: m.files["report.html"], files, asked, law };
      draw();
      idle.push(...running);
    } catch (e) {
      running.forEach((engine) => engine.stop());
      say("failed", e.message === "cancelled" ? "Cancelled." : "The run failed: " + e.message);
    }
    running = null;
    setRunning(false);
  }
  function setRunning(on) {
    byId("run").hidden = on;
    byId("cancel").hidden = !on;
    byId("next").disabled = byId("back").disabled = on;
    document.body.dataset.state = on ? "running" : "ready";
    if (!on && law) showLaw();
  }
  function progressBars(names) {
    byId("progress").replaceChildren();
    return names.map((name) => {
      const row = make("div"), bar = make("progress"), text = make("small", "", "waiting");
      bar.max = 1; bar.value = 0;
      bar.setAttribute("aria-label", "progress of " + name);
      row.append(make("b", "", name), bar, text);
      byId("progress").appendChild(row);
      return {
        tell(p) {
          bar.value = p.now_s / p.end_s;
          text.textContent = num(p.now_s) + " of at most " + num(p.end_s) + " s · " + (100 * p.active / p.leases).toFixed(1) + " % of the leases active · queue " + num(p.queued) + " · " + p.verdict + " so far";
        },
        done(r, ms) { bar.value = 1; text.textContent = r.verdict + (r.ttr_s === null ? "" : ", back after " + num(r.ttr_s) + " s") + " · computed in " + (ms / 1000).toFixed(2) + " s"; },
      };
    });
  }

  // ---- Results ----

  function draw() {
    const box = byId("results"), page = result.page;
    leasestorm.clear();
    box.replaceChildren();
    (page.Summary || []).forEach((t) => box.appendChild(make("p", "lead", t)));
    (page.Alerts || []).forEach((t) => box.appendChild(make("p", "alert", t)));
    for (const s of page.Sections || []) {
      const list = make("ul", "verdicts");
      for (const v of s.Verdicts || []) {
        const li = make("li", v.Class);
        li.append(make("b", "", v.Name), document.createTextNode(v.Text));
        list.appendChild(li);
      }
      box.appendChild(list);
      const g = leasestorm.group(s.Names, s.Most);
      leasestorm.legend(box, g);
      (s.Parts || []).forEach((p, i) => {
        if (p.title) box.appendChild(make("h3", "", p.title));
        if (i === 0) foretell(p, s.Names);
        const charts = make("div", "charts");
        box.appendChild(charts);
        (p.charts || []).forEach((c) => leasestorm.chart(charts, c, g));
        (p.heats || []).forEach((h) => leasestorm.heat(charts, h, g));
      });
      (s.Tables || []).forEach((t) => box.appendChild(table(t)));
    }
    box.querySelectorAll("table.sorts").forEach(leasestorm.table);
    byId("report").disabled = false;
  }
  // foretell marks in the first chart what the law has said: when a contestant comes back, or that it
  // never does.
  function foretell(part, names) {
    const chart = (part.charts || [])[0];
    if (!chart) return;
    result.asked.contestants.forEach((_, i) => {
      const e = result.law.contestants[i], key = names.indexOf(result.page.lines[i]);
      if (!e || !e.covered || key < 0) return;
      const end = chart.x[chart.x.length - 1];
      chart.marks = (chart.marks || []).concat(e.back ? { at: e.ttr_s, text: "law: back", key } : { at: end, text: "law: never comes back", key });
    });
  }
  function table(t) {
    const wide = make("div", "wide"), e = make("table", "sorts"), head = make("tr"), body = make("tbody");
    e.appendChild(make("caption", "", t.Title));
    for (const c of t.Columns) { const th = make("th", c.Text ? "text" : "", c.Name); th.scope = "col"; head.appendChild(th); }
    e.createTHead().appendChild(head);
    for (const row of t.Rows) {
      const tr = make("tr");
      for (const c of row) { const td = make("td", c.Class, c.Text); if (c.Number) td.dataset.v = c.Value; tr.appendChild(td); }
      body.appendChild(tr);
    }
    e.appendChild(body);
    wide.appendChild(e);
    return wide;
  }

  // ---- The story ----

  let chapter = -1;
  async function tell(n) {
    chapter = n;
    const c = story[n];
    byId("story").hidden = !c;
    document.body.classList.toggle("telling", !!c);
    if (!c) return byId("tell").focus();
    byId("chapter").textContent = c.title;
    byId("chapter-text").textContent = c.text;
    byId("page-of").textContent = (n + 1) + " of " + story.length;
    byId("back").disabled = n === 0;
    byId("next").textContent = n + 1 < story.length ? "Next" : "Your own numbers";
    form.load({ keys: c.keys, contestants: c.contestants, seed: 1 });
    byId("chapter").focus();
    await run();
    byId("back").disabled = n === 0;
  }

  // ---- Begin ----

  const now = () => law && law.contestants || [];
  function wire() {
    byId("run").addEventListener("click", run);
    byId("cancel").addEventListener("click", () => { running.forEach((engine) => engine.stop()); });
    byId("file").addEventListener("click", () => leasestorm.download((state.keys.name || "scenario") + ".toml", new Blob([now()[0].toml], { type: "application/toml" })));
    byId("command").appendChild(leasestorm.copier("the command", () => now().map((c) => c.command).join("\n")));
    byId("address").appendChild(leasestorm.copier("the address", () => { history.replaceState(null, "", form.toHash()); return location.href; }));
    byId("report").addEventListener("click", () => leasestorm.download("report.html", new Blob([result.html], { type: "text/html" })));
    byId("open").addEventListener("change", async () => {
      const file = byId("open").files[0];
      if (!file) return;
      try {
        const m = await desk.ask("read", { name: file.name, text: await file.text() });
        form.load({ keys: m.answer.keys, contestants: state.contestants, seed: state.seed });
      } catch (e) { say("bad", e.message); }
      byId("open").value = "";
    });
    byId("tell").addEventListener("click", () => tell(0));
    byId("next").addEventListener("click", () => tell(chapter + 1));
    byId("back").addEventListener("click", () => tell(chapter - 1));
    byId("leave").addEventListener("click", () => { if (running) byId("cancel").click(); tell(-1); });
    addEventListener("hashchange", () => { const s = form.fromHash(location.hash); if (s && form.toHash() !== location.hash) form.load(s); });
  }

  // warm lets an engine run something small, so that the browser has translated what the first run needs.
  async function warm() {
    const engine = engines.start();
    await engine.ask("run", { keys: { leases: "20000" }, contestants: ["fifo"], seed: 1, folder: "/run" });
    idle.push(engine);
  }

  async function begin() {
    try {
      await engines.load();
      desk = engines.start();
      form.build((await desk.ask("catalog", {})).answer, changed);
      wire();
      form.load(form.fromHash(location.hash) || { keys: { name: "surge", leases: "100000", broken: "10000" }, contestants: ["fifo", "deadline"], seed: 1 });
      await warm();
      byId("engine").textContent = "";
      byId("tell").disabled = false;
      document.body.dataset.state = "ready";
      window.done = true;
    } catch (e) {
      byId("engine").textContent = "The engine cannot be loaded: " + e.message;
      return;
    }
    try {
      for (let n = 1; n < engines.atOnce(); n++) await warm(); // for contestants beside the first
      window.warmed = true;
    } catch (e) { return; } // a run starts its own
  }
  window.playground = { result: () => result }; // for tests
  begin();
})();
