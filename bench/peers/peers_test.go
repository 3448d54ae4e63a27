package main

import (
	"io"
	"os"
	"os/exec"
	"testing"
	"time"
)

// TestMain lets the test be the clients' target, as the program is.
func TestMain(m *testing.M) {
	if os.Getenv(targetVariable) != "" {
		if err := serve(); err != nil {
			panic(err)
		}
		return
	}
	os.Exit(m.Run())
}

// Every table, queue, gate and client does its work, at a size at which nothing is measured.
func TestMeasure(t *testing.T) {
	rows, err := measure(1000, 1, time.Millisecond, 1, "", io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	works := map[string]map[string]bool{}
	for _, row := range rows {
		if works[row.Contestant] == nil {
			works[row.Contestant] = map[string]bool{}
		}
		works[row.Contestant][row.Work] = true
		if row.Unit != "B" && row.Unit != "per request" && row.Value <= 0 { // the heap of a small table may shrink
			t.Errorf("%s, %s %s: %v %s", row.Contestant, row.Work, row.Pattern, row.Value, row.Unit)
		}
	}
	for _, c := range tables {
		for _, work := range []string{"grant", "heap", "renew", "revoke"} {
			if !works[c.name][work] {
				t.Errorf("%s has no row of %s", c.name, work)
			}
		}
	}
	for _, c := range gates {
		if !works[c.name][c.work] {
			t.Errorf("%s has no row of %s", c.name, c.work)
		}
	}
	for _, c := range clients {
		if _, err := exec.LookPath(ghzProgram); c.name == "ghz" && err != nil {
			t.Log("ghz is left out:", err)
			continue
		}
		if !works[c.name][c.work] {
			t.Errorf("%s has no row of %s", c.name, c.work)
		}
	}
	for _, c := range queues {
		if !works[c.name]["hand-over"] {
			t.Errorf("%s has no row of hand-over", c.name)
		}
	}
}
