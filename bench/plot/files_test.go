package plot

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leasestorm/leasestorm/bench/internal/files/filestest"
)

const sweepText = `{"schema":1,"title":"t","contestants":["fifo"],"x":{"axis":"wait","unit":"s","low":0.1,"high":1,"n":2,"log":true},
	"points":[{"x":0.1,"ttr_s":{"median":2,"min":1,"max":3}},{"x":1,"ttr_s":{"median":2,"min":1,"max":3}}]}`

// Whatever call fails, a figure is the old one or the new one, whole.
func TestFiguresSurviveTheDisk(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, SweepFile), []byte(sweepText), 0o600); err != nil {
		t.Fatal(err)
	}
	figures := []string{filepath.Join(dir, "sweep-wait.svg"), filepath.Join(dir, "sweep-wait.png")}
	want := map[string][]byte{}
	if _, err := Draw(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	for _, f := range figures {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		want[f] = text
	}
	filestest.EachCall(t, func(t *testing.T) error {
		for _, f := range figures {
			if err := os.WriteFile(f, []byte("old"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, err := Draw(t.Context(), dir)
		return err
	}, func(t *testing.T, err error) {
		for _, f := range figures {
			if text, _ := os.ReadFile(f); string(text) != "old" && !bytes.Equal(text, want[f]) {
				t.Errorf("%s: %d bytes", f, len(text))
			}
		}
		if !errors.Is(err, filestest.ErrBroken) {
			t.Errorf("the error is lost: %v", err)
		}
	})
}

// A link at a figure's name, or at that which was its temporary one, leads nowhere.
func TestFiguresFollowNoLink(t *testing.T) {
	dir, elsewhere := t.TempDir(), filepath.Join(t.TempDir(), "elsewhere")
	for path, text := range map[string]string{filepath.Join(dir, SweepFile): sweepText, elsewhere: "kept"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"sweep-wait.svg", "sweep-wait.svg.unfinished", "sweep-wait.png", "sweep-wait.png.unfinished"} {
		if err := os.Symlink(elsewhere, filepath.Join(dir, name)); err != nil {
			t.Skip(err)
		}
	}
	if _, err := Draw(t.Context(), dir); err != nil {
		t.Error(err)
	}
	if text, _ := os.ReadFile(elsewhere); string(text) != "kept" {
		t.Errorf("a file elsewhere is %d bytes long", len(text))
	}
}

// An axis that cannot be drawn, or would lead a figure out of the folder, is refused.
func TestAxesRefused(t *testing.T) {
	for _, change := range [][2]string{
		{`"low":0.1`, `"low":0`}, {`"low":0.1`, `"low":1`}, {`"axis":"wait"`, `"axis":"/../x"`}, {`"axis":"wait"`, `"axis":""`}, {`"x":0.1,`, `"x":0,`}, {`"x":1,`, `"x":7,`},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, SweepFile), []byte(strings.Replace(sweepText, change[0], change[1], 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Draw(t.Context(), dir); err == nil || !strings.Contains(err.Error(), SweepFile) {
			t.Errorf("%s: %v", change[1], err)
		}
	}
}

func TestDrawInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if made, err := Draw(ctx, runs(t)); !errors.Is(err, context.Canceled) || len(made) > 0 {
		t.Errorf("%v, %v", made, err)
	}
}
