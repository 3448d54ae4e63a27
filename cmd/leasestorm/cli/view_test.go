package cli

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/record"
	"github.com/leasestorm/leasestorm/queue"
)

// --listen is checked before anything is made, and refused by name where runs are many and short.
func TestListenErrors(t *testing.T) {
	t.Chdir(t.TempDir())
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	for _, tt := range []struct {
		args   string
		status int
		want   string
	}{
		{"sim surge --listen 9100", exitUsage, `--listen: address "9100": want HOST:PORT, for example 127.0.0.1:0`},
		{"sim surge --listen 127.0.0.1:99999", exitUsage, `--listen: address "127.0.0.1:99999": want HOST:PORT`},
		{"sim surge --listen=", exitUsage, `--listen: address "": want HOST:PORT`},
		{"rank surge --engine virtual --listen localhost", exitUsage, "want HOST:PORT"},
		{"bench --suite short --engine virtual --listen localhost", exitUsage, "want HOST:PORT"},
		{"sim surge --leases 1000 --broken 100 --listen " + taken.Addr().String(), exitFailed, "is in use: end what listens there, or choose port 0"},
		{"rank surge --engine virtual --leases 1000 --broken 100 --listen " + taken.Addr().String(), exitFailed, "is in use"},
		{"threshold surge --listen :0", exitUsage, "threshold takes no --listen: its runs are many and short"},
		{"map surge --listen :0", exitUsage, "map takes no --listen"},
		{"sweep surge --x rho=0.1:0.2:2 --listen :0", exitUsage, "sweep takes no --listen"},
		{"border surge --listen :0", exitUsage, "border takes no --listen"},
		{"drill surge --listen :0", exitUsage, "drill takes no --listen"},
		{"find-collapse surge --listen :0", exitUsage, "find-collapse takes no --listen"},
		{"incident --counterfactuals --listen :0", exitUsage, "leave out one of the two"},
		{"validate --listen :0", exitUsage, "unknown flag: --listen"},
	} {
		status, stdout, stderr := call(t, strings.Fields(tt.args)...)
		if status != tt.status || stdout != "" || !strings.Contains(stderr, tt.want) {
			t.Errorf("%s: status %d, %s%s; want %d and %q", tt.args, status, stdout, stderr, tt.status, tt.want)
		}
	}
	if left, _ := filepath.Glob("results/*"); len(left) > 0 {
		t.Errorf("refused commands have left %v", left)
	}
}

// A command that listens serves the runs that it makes while it goes on, and closes the port when
// it is interrupted.
func TestListenServes(t *testing.T) {
	t.Chdir(t.TempDir())
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	old := os.Stderr
	os.Stderr = w
	root := newRoot()
	// A ramp ends with no verdict before its time: two hours, which take long enough to be interrupted.
	root.SetArgs(strings.Fields("sim load-ramp --leases 20000 --set loads=0.1,0.2 --set measure=1h --out none --listen 127.0.0.1:0"))
	root.SetOut(io.Discard)
	done := make(chan error, 1)
	go func() { done <- execute(ctx, root) }()
	lines := bufio.NewScanner(r)
	addr := ""
	for addr == "" && lines.Scan() {
		if _, after, ok := strings.Cut(lines.Text(), "live: http://"); ok {
			addr, _, _ = strings.Cut(after, "/")
		}
	}
	go func() { _, _ = io.Copy(io.Discard, r) }()
	defer func() { os.Stderr = old; _ = w.Close() }()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	steps := 0
	for stream := bufio.NewScanner(answer.Body); steps < 100 && stream.Scan(); {
		if strings.HasPrefix(stream.Text(), `data: {"run":"load-ramp `) && strings.Contains(stream.Text(), `"good_check":`) {
			steps++
		}
	}
	if steps < 100 {
		t.Errorf("%d steps of the run have come", steps)
	}
	interrupt()
	if err := <-done; err == nil {
		t.Error("the command was interrupted, and says nothing of it")
	}
	again, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatalf("the port is still open: %v", err)
	}
	_ = again.Close()
}

// What stands below a bar fits the terminal, and has a colour unless NO_COLOR forbids it.
func TestRow(t *testing.T) {
	for _, no := range []string{"", "1"} {
		t.Setenv("NO_COLOR", no)
		r := newRow("surge", io.Discard)
		r.left = r.line.Left
		if r.below(80) != "" || r.state() != "" {
			t.Errorf("before a run: %q, %q", r.below(80), r.state())
		}
		see := r.line.Begin(bench.About{End: 10 * time.Second, Shape: record.Shape{Leases: 100_000, Step: 100 * time.Millisecond}})
		row := &record.Row{Active: 93_120, Queued: 1204}
		row.Done[queue.Good][queue.Establish] = 100
		see(bench.Look{Now: 100 * time.Millisecond, Verdict: bench.Degraded, News: &record.News{Active: 93_120, Queued: 1204, Rows: []*record.Row{row}}})
		for width := range 200 {
			text, colour := r.below(width), "\x1b[33m  degraded so far\x1b[0m\n"
			if strings.Contains(text, "\x1b") == (no != "") {
				t.Errorf("NO_COLOR=%q: %q", no, text)
			}
			if no == "" && !strings.HasSuffix(text, colour) {
				t.Errorf("%q does not end in %q", text, colour)
			}
			plain := []rune(strings.NewReplacer("\x1b[33m", "", "\x1b[0m", "", "\n", "").Replace(text))
			if len(plain) > max(width, len("  degraded so far")) || strings.Count(text, "\n") != 1 {
				t.Errorf("%d characters where there is room for %d: %q", len(plain), width, text)
			}
		}
		if got, want := r.text(), "surge: 100ms of the run, at most 9.9s left; active 93,120  queue 1,204  goodput 1,000/s; degraded so far"; got != want {
			t.Errorf("%q, want %q", got, want)
		}
		r.end("recovered, TTR 2.00 s")
		if r.below(80) != "" || r.state() != "recovered, TTR 2.00 s" {
			t.Errorf("after a run: %q, %q", r.below(80), r.state())
		}
	}
}
