// Engines: web workers that hold the compiled engine each. window.engines.load() fetches and compiles
// it once; start() makes a worker of it.
var engines = (function () {
  "use strict";
  let compiled = null;

  // The file is compressed by gzip. A web server may have unpacked it on the way, so its first bytes say
  // what it is.
  async function load() {
    const response = await fetch("leasestorm.wasm.gz");
    if (!response.ok) throw new Error("leasestorm.wasm.gz: " + response.status + " " + response.statusText);
    let bytes = await response.arrayBuffer();
    const head = new Uint8Array(bytes, 0, 2);
    if (head[0] === 0x1f && head[1] === 0x8b) bytes = await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
    compiled = await WebAssembly.compile(bytes);
  }

  function start() {
    const worker = new Worker("worker.js"), waiting = new Map();
    let last = 0;
    function end(why) {
      worker.terminate();
      waiting.forEach((w) => w.no(new Error(why)));
      waiting.clear();
      e.ended = true;
    }
    worker.onerror = (event) => end(event.message || "the engine cannot be started");
    worker.onmessage = ({ data: m }) => {
      if (m.died) return end(m.died);
      const w = waiting.get(m.id);
      if (!w) return;
      if (m.progress) { if (w.tell) w.tell(m.progress); return; }
      waiting.delete(m.id);
      if (m.error) w.no(new Error(m.error)); else w.yes(m);
    };
    worker.postMessage({ module: compiled });
    const e = {
      ended: false,
      // ask resolves to {answer, files}. tell is told the progress of a run.
      ask(question, ask, tell, files) {
        return new Promise((yes, no) => {
          const id = ++last;
          waiting.set(id, { yes, no, tell });
          worker.postMessage({ id, question, ask, files });
        });
      },
      // stop ends the worker where it stands: in the middle of a run it hears nothing.
      stop() { end("cancelled"); },
    };
    return e;
  }

  // As many runs at a time as there are processors, and at most four.
  const atOnce = () => Math.min(4, navigator.hardwareConcurrency || 2);
  return { load, start, atOnce };
})();
