// The form: what stands on the page is state = {keys, contestants, seed}. keys are those of a scenario
// file, as --set writes them; all others follow from them in the engine.
var form = (function () {
  "use strict";
  const make = leasestorm.make, byId = (id) => document.getElementById(id);
  const state = { keys: {}, contestants: ["fifo"], seed: 1 };
  const most = 4;
  let values = {}, catalog = null, changed = () => {};

  // A time as Go writes it, from seconds: whole nanoseconds, so that none is lost.
  function time(seconds) {
    const ns = Math.round(seconds * 1e9);
    if (ns >= 1e9) return String(ns / 1e9) + "s";
    if (ns >= 1e6) return String(ns / 1e6) + "ms";
    if (ns >= 1e3) return String(ns / 1e3) + "us";
    return ns + "ns";
  }

  // What a person knows. A slider's place p from 0 to 1 stands for low·(high/low)^p; with zero, 0 is
  // zero. unit is how many of the key's units a shown one is.
  const sliders = [
    { key: "leases", label: "Clients (leases)", low: 100, high: 1e6, whole: true },
    { key: "broken", label: "Share that lost its lease (%)", linear: true, low: 0, high: 100, share: true },
    { key: "interval", label: "Check interval H (s)", low: 1, high: 3600, time: 1 },
    { key: "timeout", label: "Timeout τ (s)", low: .05, high: 60, time: 1 },
    { key: "service_time", label: "Service time of a check, on one worker (ms)", low: .001, high: 1000, time: 1e-3 },
    { key: "workers", label: "Workers", low: 1, high: 1024, whole: true },
    { key: "sigma", label: "Cost of an establish, σ (checks)", low: .5, high: 100 },
    { key: "spread", label: "Clients without a lease ask within (s)", low: .01, high: 600, zero: true, time: 1 },
  ];
  const round3 = (x) => Number(x.toPrecision(3));
  function toPlace(s, v) {
    if (s.linear) return v / s.high;
    if (v <= 0) return 0;
    return Math.min(1, Math.max(s.zero ? .001 : 0, Math.log(v / s.low) / Math.log(s.high / s.low)));
  }
  function fromPlace(s, p) {
    if (s.linear) return round3(p * s.high);
    if (s.zero && p === 0) return 0;
    const v = round3(s.low * Math.pow(s.high / s.low, p));
    return s.whole ? Math.round(v) : v;
  }
  const shownOf = (s) => s.share ? round3(100 * values.broken / values.leases) : s.time ? Number((values[s.key] / s.time).toPrecision(9)) : values[s.key];

  // pin keeps what the reader sees when another number is changed: a service time that followed from ρ,
  // a number of leases that followed from the service, an interval that followed from the timeout.
  function pin(key) {
    const k = state.keys;
    if (["leases", "broken", "interval", "workers", "service_time"].includes(key) && !(k.service_time && k.scale !== "leases")) {
      k.service_time = time(values.service_time);
      delete k.rho;
      delete k.scale;
      k.leases = String(values.leases);
      k.broken = String(values.broken);
    }
    if (key === "timeout" && !k.interval) k.interval = time(values.interval);
  }
  function set(s, v) {
    if (!Number.isFinite(v) || v < 0) return;
    const k = state.keys;
    pin(s.key);
    const share = values.leases ? values.broken / values.leases : 0;
    if (s.share) k.broken = String(Math.min(values.leases, Math.round(v / 100 * values.leases)));
    else k[s.key] = s.time ? time(v * s.time) : String(v);
    if (s.key === "leases") k.broken = String(Math.round(share * v));
    // Until the law has answered, further drags count from here.
    values[s.key] = s.share ? Number(k.broken) : s.time ? v * s.time : v;
    if (s.key === "leases") values.broken = Number(k.broken);
    changed(s.key);
  }

  function buildSliders() {
    const box = byId("sliders");
    for (const s of sliders) {
      const row = make("div", "slider"), label = make("label", "", s.label), range = make("input"), number = make("input");
      range.type = "range"; range.min = 0; range.max = 1000; range.id = "range-" + s.key;
      number.type = "number"; number.min = 0; number.step = "any"; number.id = "number-" + s.key;
      label.htmlFor = number.id;
      range.setAttribute("aria-label", s.label);
      range.addEventListener("input", () => { const v = fromPlace(s, range.value / 1000); number.value = v; range.setAttribute("aria-valuetext", String(v)); set(s, v); });
      number.addEventListener("change", () => set(s, Number(number.value)));
      s.show = () => {
        const v = shownOf(s);
        if (v === undefined || !Number.isFinite(v)) return;
        if (document.activeElement !== number) number.value = v;
        if (document.activeElement !== range) range.value = Math.round(1000 * toPlace(s, v));
        range.setAttribute("aria-valuetext", String(v));
      };
      row.append(label, range, number);
      box.appendChild(row);
    }
    const row = make("div", "slider"), label = make("label", "", "Retry policy"), input = field("retries", "key-retry-short", (v) => { setKey("retry", v); });
    label.htmlFor = input.id;
    row.append(label, input, make("small", "", "when a client asks again after it has timed out"));
    box.appendChild(row);
    sliders.push({ show: () => { if (document.activeElement !== input) input.value = state.keys.retry || "immediate"; } });
  }
  // field is a text with the names of a list to choose from.
  function field(list, id, then) {
    const input = make("input");
    input.setAttribute("list", list);
    input.id = id; input.autocomplete = "off"; input.spellcheck = false;
    input.addEventListener("change", () => then(input.value.trim()));
    return input;
  }
  function setKey(key, v) {
    if (v === "") delete state.keys[key]; else state.keys[key] = v;
    changed(key);
  }

  function buildKeys() {
    for (const k of catalog.keys) {
      const row = make("div"), label = make("label", "", k.name), input = make("input");
      input.id = "key-" + k.name; label.htmlFor = input.id; input.spellcheck = false;
      input.addEventListener("change", () => setKey(k.name, input.value.trim()));
      k.show = () => { if (document.activeElement !== input) input.value = state.keys[k.name] || ""; };
      row.append(label, input, make("small", "", k.doc + (k.unit && k.unit !== "s" ? " (" + k.unit + ")" : "")));
      byId("keys").appendChild(row);
    }
  }

  // A contestant is "queue", "queue/admit" or "queue/admit/retry".
  function buildContestants() {
    const box = byId("contestants");
    box.replaceChildren();
    state.contestants.forEach((name, i) => {
      const card = make("fieldset", "contestant"), parts = name.split("/");
      const legend = make("legend", "", "Contestant " + (i + 1) + ": " + name);
      card.appendChild(legend);
      [["queue", "queues"], ["admit", "controllers"], ["retry", "retries"]].forEach(([what, list], p) => {
        const label = make("label", "", what), input = field(list, "c" + i + "-" + what, (v) => {
          const all = [0, 1, 2].map((j) => j === p ? v : state.contestants[i].split("/")[j] || "");
          state.contestants[i] = join(all);
          legend.textContent = "Contestant " + (i + 1) + ": " + state.contestants[i];
          changed("contestants");
        });
        input.value = parts[p] || "";
        input.placeholder = p === 0 ? "fifo" : p === 1 ? "none" : "as above";
        label.appendChild(input);
        card.appendChild(label);
      });
      const says = make("div", "verdict"), bar = make("p", "row");
      says.setAttribute("aria-live", "polite");
      card.append(says, bar);
      if (state.contestants.length > 1) {
        const gone = make("button", "", "remove");
        gone.type = "button";
        gone.setAttribute("aria-label", "remove contestant " + (i + 1));
        gone.addEventListener("click", () => { state.contestants.splice(i, 1); buildContestants(); changed("contestants"); });
        bar.appendChild(gone);
      }
      box.appendChild(card);
    });
    byId("add").hidden = state.contestants.length >= most;
  }
  function join([queue, admit, retry]) {
    queue = queue || "fifo";
    if (retry) return [queue, admit || "none", retry].join("/");
    return admit ? queue + "/" + admit : queue;
  }

  function build(c, then) {
    catalog = c;
    changed = then;
    buildSliders();
    buildKeys();
    for (const [id, list] of [["queues", c.queues], ["controllers", c.controllers], ["retries", c.retries]]) {
      for (const p of list) {
        const o = make("option", "", p.doc);
        o.value = p.name;
        byId(id).appendChild(o);
      }
    }
    for (const [title, worked] of [["Built-in scenarios", false], ["Worked examples", true]]) {
      const g = make("optgroup");
      g.label = title;
      c.scenarios.filter((s) => s.worked === worked).forEach((s) => { const o = make("option", "", s.name); o.value = s.name; g.appendChild(o); });
      byId("start").appendChild(g);
    }
    byId("start").addEventListener("change", () => {
      const s = c.scenarios.find((s) => s.name === byId("start").value);
      if (s) load({ keys: s.keys, contestants: state.contestants, seed: state.seed });
    });
    byId("add").addEventListener("click", () => {
      const names = ["deadline", "fifo", "lifo", "slack", "codel"].concat(c.queues.map((q) => q.name));
      state.contestants.push(names.find((n) => !state.contestants.includes(n)));
      buildContestants();
      byId("c" + (state.contestants.length - 1) + "-queue").focus();
      changed("contestants");
    });
    byId("seed").addEventListener("change", () => { state.seed = Math.max(1, Math.floor(Number(byId("seed").value)) || 1); changed("seed"); });
  }

  // load puts another scenario on the page.
  function load(s) {
    state.keys = Object.assign({}, s.keys);
    state.contestants = s.contestants.slice(0, most);
    state.seed = s.seed;
    byId("seed").value = s.seed;
    if (catalog.scenarios.some((o) => o.name === s.keys.name)) byId("start").value = s.keys.name;
    else byId("start").selectedIndex = -1;
    if (document.activeElement && document.activeElement !== byId("start")) document.activeElement.blur();
    buildContestants();
    changed("all");
  }
  // show puts the values that the engine has derived into the form.
  function show(v) {
    if (v) values = Object.assign({}, v);
    sliders.forEach((s) => s.show());
    catalog.keys.forEach((k) => k.show());
    byId("about").textContent = state.keys.about || "";
  }

  // ---- The address holds what is on the page: #name=surge&broken=1000&c=fifo&c=deadline&seed=1 ----
  function toHash() {
    const p = new URLSearchParams();
    for (const k of catalog.keys) if (state.keys[k.name] !== undefined) p.append(k.name, state.keys[k.name]);
    state.contestants.forEach((c) => p.append("c", c));
    p.append("seed", state.seed);
    return "#" + p.toString().replace(/%2F/g, "/").replace(/%3A/g, ":").replace(/%3D/g, "=");
  }
  function fromHash(hash) {
    const p = new URLSearchParams(hash.replace(/^#/, "")), s = { keys: {}, contestants: [], seed: 1 };
    if (![...p.keys()].length) return null;
    for (const [k, v] of p) {
      if (k === "c") s.contestants.push(v);
      else if (k === "seed") s.seed = Math.max(1, Math.floor(Number(v)) || 1);
      else s.keys[k] = v;
    }
    if (!s.contestants.length) s.contestants.push("fifo");
    return s;
  }
  return { state, build, load, show, toHash, fromHash };
})();
