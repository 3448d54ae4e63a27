// Runs the playground's worker.js in node, as a browser would: node worker.cjs SITE OUT < questions.
// A question is {question, ask, files}; each answer is a line on stdout, and the files of the i-th
// go to the folder OUT/i.
"use strict";
const fs = require("fs"), path = require("path"), vm = require("vm"), zlib = require("zlib");
const [site, out] = process.argv.slice(2);
const questions = JSON.parse(fs.readFileSync(0, "utf8"));
const module_ = new WebAssembly.Module(zlib.gunzipSync(fs.readFileSync(path.join(site, "leasestorm.wasm.gz"))));
const load = (...names) => names.forEach((n) => vm.runInContext(fs.readFileSync(path.join(site, n), "utf8"), context, { filename: n }));
const context = vm.createContext({
  console, performance, crypto, TextEncoder, TextDecoder, setTimeout, clearTimeout, WebAssembly, importScripts: load,
  postMessage(m) {
    if (m.died) { console.error(m.died); process.exit(1); }
    if (m.progress) { progress++; return; }
    for (const [name, data] of Object.entries(m.files || {})) {
      const to = path.join(out, String(m.id), name);
      fs.mkdirSync(path.dirname(to), { recursive: true });
      fs.writeFileSync(to, data);
    }
    process.stdout.write(JSON.stringify({ answer: m.answer, error: m.error, progress, files: Object.keys(m.files || {}) }) + "\n");
    files[m.id] = m.files;
    ask(m.id + 1);
  },
});
const files = [];
let progress = 0;
load("worker.js");
const send = (data) => vm.runInContext("onmessage", context)({ data });
function ask(id) {
  if (id === questions.length) process.exit(0);
  const q = questions[id], given = {};
  for (const [folder, of] of Object.entries(q.from || {})) for (const [name, data] of Object.entries(files[of])) given[folder + "/" + name] = data;
  progress = 0;
  send({ id, question: q.question, ask: q.ask, files: q.from ? given : undefined });
}
send({ module: module_ });
ask(0);
