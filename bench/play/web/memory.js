// A file system in memory, with the calls of node's fs that Go makes: so the engine writes its result
// folder in a browser as it does on a disk. It must be loaded before wasm_exec.js. Links there are none.
(function () {
  "use strict";
  const DIR = 0o040755, FILE = 0o100644;
  const O = { O_RDONLY: 0, O_WRONLY: 1, O_RDWR: 2, O_CREAT: 64, O_EXCL: 128, O_TRUNC: 512, O_APPEND: 1024, O_DIRECTORY: 65536 };
  let inodes = 0;
  const node = (mode) => ({ ino: ++inodes, mode, data: new Uint8Array(0), size: 0 });
  const all = new Map([["/", node(DIR)], ["/tmp", node(DIR)]]); // by absolute path
  const open = new Map(); // by descriptor
  let descriptors = 3;

  const fail = (code) => { throw Object.assign(new Error(code), { code }); };
  function resolve(path) {
    const parts = [];
    for (const p of path.split("/")) {
      if (p === "..") parts.pop();
      else if (p !== "" && p !== ".") parts.push(p);
    }
    return "/" + parts.join("/");
  }
  const parent = (path) => path.slice(0, path.lastIndexOf("/")) || "/";
  const get = (path) => all.get(path) || fail("ENOENT");
  const isDir = (n) => n.mode === DIR;
  const of = (fd) => open.get(fd) || fail("EBADF");
  const inside = (dir) => [...all.keys()].filter((p) => p !== "/" && parent(p) === dir);
  const stat = (n) => ({
    isDirectory: () => isDir(n), dev: 1, ino: n.ino, mode: n.mode, nlink: 1, uid: 0, gid: 0, rdev: 0, size: n.size, blksize: 4096,
    blocks: Math.ceil(n.size / 512), atimeMs: 0, mtimeMs: 0, ctimeMs: 0,
  });
  function make(path, mode) {
    if (!isDir(get(parent(path)))) fail("ENOTDIR");
    const n = node(mode);
    all.set(path, n);
    return n;
  }
  function room(n, size) {
    if (size > n.data.length) {
      const more = new Uint8Array(Math.max(size, 2 * n.data.length, 4096));
      more.set(n.data.subarray(0, n.size));
      n.data = more;
    }
    n.size = Math.max(n.size, size);
  }
  function remove(path) {
    if (isDir(get(path)) && inside(path).length) fail("ENOTEMPTY");
    all.delete(path);
  }

  let printed = ""; // and no end of line yet
  function print(text) {
    const lines = (printed + text).split("\n");
    printed = lines.pop();
    lines.forEach((line) => console.error(line));
  }

  const calls = {
    open(path, flags) {
      path = resolve(path);
      let n = all.get(path);
      if (n && flags & O.O_CREAT && flags & O.O_EXCL) fail("EEXIST");
      if (!n) n = flags & O.O_CREAT ? make(path, FILE) : fail("ENOENT");
      if (flags & O.O_DIRECTORY && !isDir(n)) fail("ENOTDIR");
      if (flags & O.O_TRUNC) n.size = 0;
      open.set(descriptors, { n, at: 0, append: flags & O.O_APPEND });
      return descriptors++;
    },
    close(fd) { of(fd); open.delete(fd); },
    read(fd, buf, offset, length, position) {
      const f = of(fd), from = position === null ? f.at : position;
      if (isDir(f.n)) fail("EISDIR");
      const k = Math.max(0, Math.min(length, f.n.size - from));
      buf.set(f.n.data.subarray(from, from + k), offset);
      if (position === null) f.at += k;
      return k;
    },
    write(fd, buf, offset, length, position) {
      if (fd <= 2) { print(new TextDecoder().decode(buf.subarray(offset, offset + length))); return length; }
      const f = of(fd), to = position === null ? (f.append ? f.n.size : f.at) : position;
      room(f.n, to + length);
      f.n.data.set(buf.subarray(offset, offset + length), to);
      if (position === null) f.at = to + length;
      return length;
    },
    ftruncate(fd, size) { const n = of(fd).n; room(n, size); n.size = size; },
    truncate(path, size) { const n = get(resolve(path)); room(n, size); n.size = size; },
    fstat(fd) { return stat(of(fd).n); },
    stat(path) { return stat(get(resolve(path))); },
    mkdir(path) { path = resolve(path); if (all.has(path)) fail("EEXIST"); make(path, DIR); },
    readdir(path) { return inside(resolve(path)).map((p) => p.slice(p.lastIndexOf("/") + 1)); },
    rename(from, to) {
      from = resolve(from); to = resolve(to);
      get(from);
      if (!isDir(get(parent(to)))) fail("ENOTDIR");
      if (all.has(to) && to !== from) remove(to);
      for (const [p, n] of [...all]) if (p === from || p.startsWith(from + "/")) { all.delete(p); all.set(to + p.slice(from.length), n); }
    },
    unlink(path) { path = resolve(path); if (isDir(get(path))) fail("EISDIR"); remove(path); },
    rmdir(path) { path = resolve(path); if (!isDir(get(path))) fail("ENOTDIR"); remove(path); },
    fsync() {}, chmod() {}, fchmod() {}, chown() {}, fchown() {}, lchown() {}, utimes() {},
    readlink() { fail("EINVAL"); }, link() { fail("EPERM"); }, symlink() { fail("EPERM"); },
  };
  calls.lstat = calls.stat;

  const fs = { constants: O, writeSync: (fd, buf) => calls.write(fd, buf, 0, buf.length, null) };
  for (const name of Object.keys(calls)) {
    fs[name] = (...args) => {
      const done = args.pop();
      let result, failed = null;
      try { result = calls[name](...args); } catch (e) { failed = e; }
      done(failed, result);
    };
  }
  globalThis.fs = fs;
  globalThis.path = { resolve: (...parts) => resolve(parts.join("/")) };
  globalThis.process = { pid: 1, ppid: 0, umask: () => 0o22, cwd: () => "/", chdir() {}, getuid: () => 0, getgid: () => 0, geteuid: () => 0, getegid: () => 0, getgroups: () => [] };

  // For the worker itself: the files below a folder by their paths in it, and the way back.
  globalThis.memory = {
    take(dir) {
      const out = {};
      for (const [p, n] of [...all]) {
        if (!p.startsWith(dir + "/")) continue;
        if (!isDir(n)) out[p.slice(dir.length + 1)] = n.data.slice(0, n.size);
        all.delete(p);
      }
      all.delete(dir);
      return out;
    },
    put(dir, files) {
      for (const [name, data] of Object.entries(files)) {
        const path = resolve(dir + "/" + name), way = path.split("/");
        for (let i = 2; i < way.length; i++) { const d = way.slice(0, i).join("/"); if (!all.has(d)) all.set(d, node(DIR)); }
        const n = node(FILE);
        n.data = data; n.size = data.length;
        all.set(path, n);
      }
    },
  };
})();
