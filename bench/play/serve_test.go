package play_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/leasestorm/leasestorm/bench/play"
)

// small is a playground whose engine is none.
func small(t *testing.T) play.Site {
	t.Helper()
	s, err := play.With(fstest.MapFS{"leasestorm.wasm.gz": {Data: []byte("\x1f\x8b")}, "wasm_exec.js": {Data: []byte("// Go")}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Each file is served with its type and the policy, and nothing else is.
func TestServe(t *testing.T) {
	s := small(t)
	port, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, port) }()
	get := func(method, path string) (*http.Response, string) {
		r, err := http.NewRequestWithContext(t.Context(), method, "http://"+port.Addr().String()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close() //nolint:errcheck // only read
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp, string(body)
	}
	kinds := map[string]string{".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".gz": "application/octet-stream", ".LICENSE": "text/plain"}
	for _, name := range s.Names() {
		resp, body := get("GET", "/"+name)
		if h := resp.Header; resp.StatusCode != http.StatusOK || body != string(s[name]) || !strings.HasPrefix(h.Get("Content-Type"), kinds[filepath.Ext(name)]) ||
			!strings.HasPrefix(h.Get("Content-Security-Policy"), play.Policy) || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %s, %d bytes, %v", name, resp.Status, len(body), h)
		}
	}
	if resp, body := get("GET", "/"); resp.StatusCode != http.StatusOK || body != string(s["index.html"]) {
		t.Errorf("/: %s, %.100s", resp.Status, body)
	}
	for _, tt := range []struct {
		method, path string
		status       int
	}{{"GET", "/play.go", 404}, {"GET", "/../play.go", 404}, {"GET", "/web/play.js", 404}, {"POST", "/play.js", 405}} {
		if resp, _ := get(tt.method, tt.path); resp.StatusCode != tt.status {
			t.Errorf("%s %s: %s", tt.method, tt.path, resp.Status)
		}
	}
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the server ends with %v", err)
	}
}

// The folder has all files that the page names, its policy is the server's, and nothing is overwritten.
func TestFolder(t *testing.T) {
	s, dir := small(t), filepath.Join(t.TempDir(), "site")
	if err := s.Write(dir); err != nil {
		t.Fatal(err)
	}
	var names []string
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if !slices.Equal(names, s.Names()) {
		t.Errorf("the folder has %v, want %v", names, s.Names())
	}
	page := string(s["index.html"])
	if !strings.Contains(page, `content="`+play.Policy+`"`) {
		t.Error("the page's own policy is another than the server's")
	}
	for _, part := range strings.FieldsFunc(page, func(r rune) bool { return r == '"' }) {
		if ext := filepath.Ext(part); (ext == ".js" || ext == ".css") && s[part] == nil {
			t.Errorf("the page names %s, which is no file", part)
		}
	}
	if err := s.Write(dir); err == nil {
		t.Error("a folder is written over")
	}
	if _, err := play.With(fstest.MapFS{}); !errors.Is(err, play.ErrNoEngine) || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without an engine: %v", err)
	}
}
