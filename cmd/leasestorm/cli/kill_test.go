package cli

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/study"
	"github.com/leasestorm/leasestorm/internal/testseed"
)

var kills = flag.Int("kills", 3, "how often TestKillAndResume kills a suite; scripts/kill-resume asks for 50")

// asCommand makes the test binary run as the command.
const asCommand = "LEASESTORM_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	defaultWait = 0
	if os.Getenv(asCommand) != "" {
		os.Exit(Main(os.Args[1:]))
	}
	flag.Parse()
	os.Exit(m.Run())
}

func command(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), asCommand+"=1")
	return cmd
}

// tinySuite lays out a suite of small runs of about a second each.
func tinySuite(t *testing.T, cells int) (string, study.SuiteManifest) {
	t.Helper()
	m := study.SuiteManifest{Schema: bench.ManifestSchema, Suite: "tiny"}
	for i := range cells {
		m.Cells = append(m.Cells, study.Cell{
			Folder: fmt.Sprintf("cell-%d", i), Scenario: "surge", Seed: uint64(i + 1),
			Set: []string{"leases=2000", "broken=500", "duration=100ms", "timeout=50ms", "interval=1s", "ttl=3s", "spread=5ms", "steady=50ms", "outage=50ms", "workers=1"},
		})
	}
	dir := t.TempDir()
	text, err := json.Marshal(m)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "suite.json"), text, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir, m
}

// A suite that is killed at random moments and resumed loses no finished cell, runs none
// twice, and ends with the same set as one that was left alone.
func TestKillAndResume(t *testing.T) {
	seed := testseed.Draw(t)
	rng := rand.New(rand.NewPCG(seed, 0))
	dir, m := tinySuite(t, max(3, *kills/2))
	finished := map[string][]byte{}
	look := func() {
		for _, c := range m.Cells {
			text, err := os.ReadFile(filepath.Join(dir, c.Folder, "manifest.json"))
			old, was := finished[c.Folder]
			switch {
			case err != nil && was:
				t.Errorf("cell %s was finished and is gone", c.Folder)
			case err == nil && was && !bytes.Equal(old, text):
				t.Errorf("cell %s was finished and was run again", c.Folder)
			case err == nil:
				finished[c.Folder] = text
				if _, err := bench.ReadManifest(t.Context(), filepath.Join(dir, c.Folder)); err != nil {
					t.Errorf("cell %s looks finished and is not: %v", c.Folder, err)
				}
			}
		}
	}
	for range *kills {
		cmd := command("bench", "--resume", dir)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			_ = cmd.Wait() // killed or not: the folder tells
			close(done)
		}()
		select {
		case <-done:
		case <-time.After(time.Duration(rng.IntN(5000)) * time.Millisecond):
			_ = cmd.Process.Kill()
			<-done
		}
		look()
	}
	cmd := command("bench", "--resume", dir)
	if out, err := cmd.CombinedOutput(); err != nil && cmd.ProcessState.ExitCode() != exitInvalid { // a busy host spoils runs
		t.Fatalf("%v\n%s", err, out)
	}
	look()
	if len(finished) != len(m.Cells) {
		t.Errorf("%d of %d cells are there in the end", len(finished), len(m.Cells))
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name()[0] == '.' {
			t.Errorf("left behind: %s", e.Name())
		}
	}
}

// Folders that are not a suite's, or are damaged, are refused and named.
func TestResumeRefuses(t *testing.T) {
	damage := map[string]func(dir string) error{
		"no suite.json": func(dir string) error { return os.Remove(filepath.Join(dir, "suite.json")) },
		"suite.json of noise": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "suite.json"), []byte("\x00{"), 0o644)
		},
		"a cell outside": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "suite.json"), []byte(`{"schema": 1, "cells": [{"folder": "../x", "scenario": "surge"}]}`), 0o644)
		},
		"a cell that is not ours": func(dir string) error { return os.Mkdir(filepath.Join(dir, "cell-0"), 0o755) },
		"a torn manifest": func(dir string) error {
			if err := os.Mkdir(filepath.Join(dir, "cell-0"), 0o755); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dir, "cell-0", "manifest.json"), []byte(`{"schema": 1, "resu`), 0o644)
		},
		"a missing file": func(dir string) error {
			if err := os.Mkdir(filepath.Join(dir, "cell-0"), 0o755); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dir, "cell-0", "manifest.json"), []byte(`{"schema": 1, "result": {}, "files": [{"name": "series.csv", "bytes": 1, "sha256": ""}]}`), 0o644)
		},
	}
	for name, do := range damage {
		dir, _ := tinySuite(t, 1)
		if err := do(dir); err != nil {
			t.Fatal(err)
		}
		status, _, stderr := call(t, "bench", "--resume", dir)
		if status == exitOK || stderr == "" || bytes.Contains([]byte(stderr), []byte("goroutine")) {
			t.Errorf("%s: status %d, %s", name, status, stderr)
		}
	}
}
