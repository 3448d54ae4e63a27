package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/record"
)

// small flags make a simulation of a moment.
var small = []string{"--leases", "200", "--broken", "20", "--duration", "1s", "--seed", "7"}

// verbs are calls of each kind that write to stdout.
func verbs(t *testing.T) [][]string {
	sim := append([]string{"sim", "surge", "--out", "none"}, small...)
	return [][]string{
		{}, {"help"}, {"help", "run"}, {"map", "--help"}, {"version"}, {"list"}, {"completion", "bash"},
		{"validate", "--engine", "virtual", "--model", "md1", "--arrivals", "30000"},
		{"validate", "--engine", "virtual", "--model", "md1", "--arrivals", "30000", "--json"},
		sim, append(sim[:len(sim):len(sim)], "--json"), append(sim[:len(sim):len(sim)], "--seeds", "2"),
		append([]string{"drill", "surge", "--out", "none"}, small...),
		{"sweep", "surge", "--leases", "200", "--broken", "20", "--x", "wait=0:1:2", "--seeds", "1", "--contestants", "fifo", "--out", filepath.Join(t.TempDir(), "sweep")},
		{"map", "surge", "--leases", "200", "--broken", "20", "--x", "beta=1:4:2", "--y", "wait=0.1:1:2", "--seeds", "1", "--contestants", "fifo", "--out", filepath.Join(t.TempDir(), "map")},
	}
}

// What nobody can read is no success, whatever verb has written it.
func TestStdoutFails(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer func() { _ = full.Close() }() // it takes nothing
	for _, args := range verbs(t) {

		status, _, stderr := call(t, args...)
		if status != exitOK && status != exitDisagrees {
			t.Fatalf("%v: status %d, %s", args, status, stderr)
		}
		for i, a := range args { // a folder is made once
			if a == "--out" && args[i+1] != "none" {
				args[i+1] += "-again"
			}
		}
		status, stderr = callWith(t, full, args...)
		if status != exitFailed || !strings.Contains(stderr, "no space left on device") || strings.Count(stderr, "no space") != 1 {
			t.Errorf("%v: status %d, %q; want 1 and why", args, status, stderr)
		}

	}
}

// callWith is call with another stdout.
func callWith(t *testing.T, stdout *os.File, args ...string) (status int, stderr string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "stderr")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func(o, e *os.File) { os.Stdout, os.Stderr = o, e }(os.Stdout, os.Stderr)
	os.Stdout, os.Stderr = stdout, f
	status = Main(args)
	text, err := os.ReadFile(path)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	return status, string(text)
}

// Whoever begins gets a folder of his own, and what he measures has a place.
func TestFreshFolders(t *testing.T) {
	t.Chdir(t.TempDir())
	var all sync.Map
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			var folder *record.Folder
			err := fresh("", func(dir string) (err error) {
				folder, err = record.Create(dir)
				return err
			}, "sim")
			if err == nil {
				err = errors.Join(folder.WriteJSON("x", 1), folder.Commit())
			}
			if err != nil {
				t.Error(err)
				return
			}
			if _, had := all.LoadOrStore(folder.Path(), true); had {
				t.Errorf("%s twice", folder.Path())
			}
		})
	}
	wait.Wait()
	if made, err := filepath.Glob("results/*/x"); err != nil || len(made) != 8 {
		t.Errorf("%v, %v", made, err)
	}
	taken := errors.New("not free")
	if err := fresh("asked", func(dir string) error { return fmt.Errorf("%s: %w: %w", dir, taken, record.ErrExists) }); !errors.Is(err, taken) {
		t.Errorf("a folder that was asked for: %v", err)
	}
}

// Runs without --out have a folder each, and a file for which there is no folder is refused first.
func TestRunsWithoutOut(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, args := range [][]string{append([]string{"sim", "surge"}, small...), append([]string{"sim", "surge", "--seeds", "2"}, small...)} {
		for range 2 {
			if status, _, stderr := call(t, args...); status != exitOK {
				t.Fatalf("%v: status %d, %s", args, status, stderr)
			}
		}
	}
	runs, err := filepath.Glob("results/*/manifest.json")
	several, err2 := filepath.Glob("results/*/s*/manifest.json")
	if err := errors.Join(err, err2); err != nil || len(runs) != 2 || len(several) != 4 {
		t.Errorf("%v, %v, %v", runs, several, err)
	}
	for _, path := range append(runs, several...) {
		if _, err := bench.ReadManifest(t.Context(), filepath.Dir(path)); err != nil {
			t.Error(err)
		}
	}
	if status, _, stderr := call(t, "find-collapse", "surge", "--write", "nosuch/x.toml"); status != exitFailed || !strings.Contains(stderr, "there is no folder nosuch") {
		t.Errorf("status %d, %s", status, stderr)
	}
}
