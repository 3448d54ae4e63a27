package cli

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leasestorm/leasestorm/bench/play"
)

// play refuses what it cannot do, by name, before it serves; and it says how it gets its engine.
func TestPlay(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, tt := range []struct{ args, says string }{
		{"play --out site --listen 127.0.0.1:0", "leave one of them out"},
		{"play --listen nonsense", "HOST:PORT"},
		{"play surge", "surge"},
	} {
		if status, _, stderr := call(t, strings.Fields(tt.args)...); status != exitUsage || !strings.Contains(stderr, tt.says) {
			t.Errorf("%s: status %d, %s", tt.args, status, stderr)
		}
	}
	status, stdout, stderr := call(t, "play", "--out", "site")
	if _, err := play.Built(); errors.Is(err, play.ErrNoEngine) {
		if status != exitFailed || !strings.Contains(stderr, "make build") {
			t.Errorf("without an engine: status %d, %s", status, stderr)
		}
		return
	}
	if _, err := os.Stat(filepath.Join("site", "index.html")); status != exitOK || stdout != "site\n" || err != nil {
		t.Errorf("status %d, %s%s, %v", status, stdout, stderr, err)
	}
	if status, _, stderr := call(t, "play", "--out", "site"); status != exitFailed || !strings.Contains(stderr, "exists already") {
		t.Errorf("over a folder that exists: status %d, %s", status, stderr)
	}
}
