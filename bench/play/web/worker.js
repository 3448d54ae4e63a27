// A worker that holds one engine. The page sends the compiled module first, and then questions:
// {id, question, ask, files}, where files are put into ask.folder before. The answers are
// {id, progress}, {id, answer, files} with what the folder holds then, or {id, error}.
"use strict";
importScripts("memory.js", "wasm_exec.js");
let engine = null;
onmessage = async (event) => {
  const m = event.data;
  if (m.module) {
    const go = new Go();
    engine = WebAssembly.instantiate(m.module, go.importObject).then((instance) => {
      go.run(instance).then(() => postMessage({ died: "the engine has stopped: the browser gave it no more memory, or it is at fault" }));
    });
    return;
  }
  try {
    await engine;
    const folder = m.ask.folder;
    if (m.files) memory.put(folder, m.files);
    desk(m.question, JSON.stringify(m.ask), (progress) => postMessage({ id: m.id, progress: JSON.parse(progress) }), (error, answer) => {
      const files = folder ? memory.take(folder) : {};
      if (error) return postMessage({ id: m.id, error });
      postMessage({ id: m.id, answer: JSON.parse(answer), files }, Object.values(files).map((f) => f.buffer));
    });
  } catch (e) {
    postMessage({ id: m.id, error: String(e) });
  }
};
