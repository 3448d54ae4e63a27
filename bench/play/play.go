// Package play has the playground: a page that runs the virtual engine in the browser. It serves the
// page, or writes it as a folder of static files. The engine itself is bench/play/desk, compiled to
// WebAssembly by scripts/playground.
package play

import (
	"context"
	"embed"
	"errors"
	"io"
	"io/fs"
	"log"
	"mime"
	"net"
	"net/http"
	"path"
	"slices"
	"strconv"
	"time"

	"github.com/leasestorm/leasestorm/bench/record"
	"github.com/leasestorm/leasestorm/bench/report"
)

// web has the page's own files.
//
//go:embed web
var web embed.FS

// dist has the engine, if 'make build' made it before it built the command: it is no file of the
// repository.
//
//go:embed dist
var dist embed.FS

// shared are the report's files with which the page draws.
var shared = []string{"charts.js", "style.css", "uPlot.iife.min.js", "uPlot.min.css", "uPlot.LICENSE"}

// ErrNoEngine is returned for a program that was built without the engine.
var ErrNoEngine = errors.New("this program was built without the playground's engine, as by 'go install'; in the source tree, 'make build' makes bin/leasestorm with it")

// Policy is the content-security policy of the page: code of its own and WebAssembly, nothing from
// elsewhere.
const Policy = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self' data: blob:; base-uri 'none'; form-action 'none'"

// Site is the playground as files by name.
type Site map[string][]byte

// Built returns the playground with the engine that is inside this program, or [ErrNoEngine].
func Built() (Site, error) {
	engine, err := fs.Sub(dist, "dist")
	if err != nil {
		return nil, err
	}
	return With(engine)
}

// With returns the playground with the engine that scripts/playground wrote to a folder.
func With(engine fs.FS) (Site, error) {
	s := Site{}
	for _, name := range []string{"leasestorm.wasm.gz", "wasm_exec.js"} {
		b, err := fs.ReadFile(engine, name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, ErrNoEngine
		}
		if err != nil {
			return nil, err
		}
		s[name] = b
	}
	own, err := fs.ReadDir(web, "web")
	if err != nil {
		return nil, err
	}
	for _, f := range own {
		if s[f.Name()], err = web.ReadFile("web/" + f.Name()); err != nil {
			return nil, err
		}
	}
	for _, name := range shared {
		s[name] = []byte(report.Asset(name))
	}
	return s, nil
}

// Write writes the playground's files to a folder, which must not exist. Any web server can serve them.
func (s Site) Write(dir string) error {
	f, err := record.Create(dir)
	if err != nil {
		return err
	}
	defer f.Abandon()
	for _, name := range s.Names() {
		if err := f.Write(name, func(w io.Writer) error { _, err := w.Write(s[name]); return err }); err != nil {
			return err
		}
	}
	return f.Commit()
}

// Names are the names of the files, sorted.
func (s Site) Names() []string {
	var names []string
	for name := range s {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// ServeHTTP serves the files.
func (s Site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Path[1:]
	if name == "" {
		name = "index.html"
	}
	h := w.Header()
	h.Set("Content-Security-Policy", Policy+"; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-cache")
	b, ok := s[name]
	switch {
	case !ok:
		http.Error(w, "404: the playground has no such file", http.StatusNotFound)
		return
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "405: the playground is only read", http.StatusMethodNotAllowed)
		return
	}
	kind := mime.TypeByExtension(path.Ext(name))
	if kind == "" || path.Ext(name) == ".gz" {
		kind = "application/octet-stream" // the page itself unpacks the engine
	}
	if path.Ext(name) == ".LICENSE" {
		kind = "text/plain; charset=utf-8"
	}
	h.Set("Content-Type", kind)
	h.Set("Content-Length", strconv.Itoa(len(b)))
	if r.Method == http.MethodGet {
		_, _ = w.Write(b) // the browser has gone
	}
}

// Serve serves the files on a listener until ctx ends.
func (s Site) Serve(ctx context.Context, port net.Listener) error {
	server := &http.Server{Handler: s, ReadHeaderTimeout: 5 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(port); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return ctx.Err()
}
