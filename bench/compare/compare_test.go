package compare

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/leasestorm/leasestorm/bench/archive"
	"github.com/leasestorm/leasestorm/bench/internal/archivetest"
)

// suite writes n runs of three contestants, and returns the folder.
func suite(t *testing.T, n int, seed uint64, slow map[string]float64) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), fmt.Sprint(seed))
	archivetest.WriteSuite(t, dir, n, seed, slow)
	return dir
}

func folders(t *testing.T, a, b string, how How) *Comparison {
	t.Helper()
	c, err := Folders(t.Context(), a, b, how)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// memory is a side of 10 runs of three contestants that stand in no file.
func memory(t *testing.T, seed uint64) *side {
	t.Helper()
	runs := archivetest.Suite(10, seed, nil)
	var cells []archive.Cell
	for _, folder := range slices.Sorted(maps.Keys(runs)) {
		c := archive.Cell{Folder: folder}
		if err := c.Manifest.Parse(runs[folder].Manifest(t)); err != nil {
			t.Fatal(err)
		}
		cells = append(cells, c)
	}
	return sideOf(fmt.Sprint(seed), cells)
}

// marks are the real differences, as contestant, measure and mark.
func marks(c *Comparison) (all []string) {
	for _, r := range c.Rows {
		if r.Real {
			all = append(all, r.Contestant+" "+r.Measure+" "+r.Mark())
		}
	}
	return all
}

// Services that take a tenth longer are found, where they are and nowhere else.
func TestSlowdownIsFound(t *testing.T) {
	c := folders(t, suite(t, 10, 1, nil), suite(t, 10, 2, map[string]float64{"lifo": 0.1}), How{})
	if got := strings.Join(marks(c), ", "); got != "lifo ttr worse, lifo efficiency worse, lifo goodput worse, lifo time_to_lease_p99 worse" {
		t.Errorf("%s\n%s", got, c.Text())
	}
	if blind, all := c.Blind(); c.Tests != 24 || all || len(blind) > 0 {
		t.Errorf("%d tests, blind %v", c.Tests, blind)
	}
	if got := c.Regressions(0.05); len(got) != 4 {
		t.Errorf("%d worse by more than 5 %%", len(got))
	}
	if got := c.Regressions(0.2); len(got) != 0 {
		t.Errorf("%d worse by more than 20 %%", len(got))
	}
	if faster := folders(t, c.B, c.A, How{}); !strings.Contains(strings.Join(marks(faster), ", "), "lifo ttr better, lifo efficiency better") || len(faster.Regressions(0)) > 0 {
		t.Error(faster.Text())
	}
}

// Runs of one thing against itself: of twenty comparisons, with 24 tests each, one at most calls
// anything real, and no more than one in twenty does over ten times as many. Without the envelope the
// tests alone promise one in twenty in the long run: more than 20 of 200 is a chance of 1 in 1,000.
func TestAA(t *testing.T) {
	const rounds = 10
	calls, inRound := 0, [rounds]int{}
	dir := t.TempDir()
	archivetest.WriteSuite(t, filepath.Join(dir, "a"), 10, 1001, nil)
	archivetest.WriteSuite(t, filepath.Join(dir, "b"), 10, 1002, nil)
	e, err := MakeEnvelope(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	for i := range uint64(20 * rounds) {
		a, b := memory(t, 2*i+1), memory(t, 2*i+2)
		for _, envelope := range []*Envelope{nil, e} {
			c, err := between(a, b, How{Envelope: envelope})
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case len(marks(c)) == 0:
			case envelope == nil:
				calls++
			default:
				inRound[i/20]++
			}
		}
	}
	t.Logf("%d of %d comparisons call something real; with the envelope, by rounds of 20: %v", calls, 20*rounds, inRound)
	all := 0
	for _, n := range inRound {
		all += n
	}
	if calls > 20 || inRound[0] > 1 || all > rounds {
		t.Errorf("%d of %d comparisons call something real; with the envelope, by rounds of 20: %v", calls, 20*rounds, inRound)
	}
}

// A host that drifts by 6 % between two suites shows it in the envelope, and is not called slower.
func TestEnvelope(t *testing.T) {
	dir := t.TempDir()
	drift := map[string]float64{"deadline": 0.06, "lifo": 0.06, "codel": 0.06}
	archivetest.WriteSuite(t, filepath.Join(dir, "a"), 10, 1, nil)
	archivetest.WriteSuite(t, filepath.Join(dir, "b"), 10, 2, drift)
	e, err := MakeEnvelope(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	// The same noise, and a smaller change of deadline.
	a, b := suite(t, 10, 1, nil), suite(t, 10, 2, map[string]float64{"deadline": 0.05, "lifo": 0.2})
	without, with := folders(t, a, b, How{}), folders(t, a, b, How{Envelope: e})
	if got := strings.Join(marks(without), ", "); !strings.Contains(got, "deadline ttr worse") || !strings.Contains(got, "lifo ttr worse") {
		t.Errorf("without an envelope: %s", got)
	}
	if got := strings.Join(marks(with), ", "); strings.Contains(got, "deadline") || !strings.Contains(got, "lifo ttr worse") {
		t.Errorf("inside the envelope: %s\n%s", got, with.Text())
	}
	if text := with.Text(); !strings.Contains(text, "inside A/A ±") || !strings.Contains(without.Text(), "No A/A envelope") {
		t.Error(text)
	}
	// An envelope of another host says nothing of this one.
	e.Hosts = []string{"another"}
	if _, err := Folders(t.Context(), a, b, How{Envelope: e}); !errors.Is(err, ErrUnlike) || !strings.Contains(err.Error(), "is of another; the runs of a processor") {
		t.Errorf("an envelope of another host: %v", err)
	}
	// A contestant that the envelope has not gets the widest of the measure.
	widest := 0.0
	for _, in := range e.Rows {
		if in.Measure == "ttr" {
			widest = max(widest, in.Change)
		}
	}
	if got := e.of(&Row{Measure: "ttr", key: "another"}); got == nil || *got != widest {
		t.Errorf("%v, want %v", got, widest)
	}
	if got := e.of(&Row{Measure: "ttr", virtual: true}); got != nil {
		t.Errorf("in virtual time: ±%v", *got)
	}
}

// In virtual time the same seeds make the same runs: any difference is real. With other seeds it is tested.
func TestExact(t *testing.T) {
	write := func(first uint64, ttr float64) string {
		dir := t.TempDir()
		for i := range uint64(3) {
			archivetest.Run{Seed: first + i, Result: map[string]any{"engine": "virtual", "ttr_s": ttr + float64(i)}}.Write(t, filepath.Join(dir, fmt.Sprint(i)))
		}
		return dir
	}
	a := write(1, 2)
	if c := folders(t, a, write(1, 2), How{}); len(marks(c)) > 0 || c.Tests != 0 || isBlind(c) {
		t.Error(c.Text())
	}
	c := folders(t, a, write(1, 2.0001), How{})
	if got := strings.Join(marks(c), ", "); got != "deadline ttr worse" || !strings.Contains(c.Text(), "exact") {
		t.Errorf("%s\n%s", got, c.Text())
	}
	if c = folders(t, a, write(7, 2.0001), How{}); len(marks(c)) > 0 || c.Tests != 1 || !isBlind(c) {
		t.Error(c.Text())
	}
}

// Collapses are compared as shares, with their intervals.
func TestCollapses(t *testing.T) {
	write := func(lost int) string {
		dir := t.TempDir()
		for i := range 10 {
			result := map[string]any{}
			if i < lost {
				result = map[string]any{"verdict": "collapsed", "ttr_s": nil, "efficiency": nil}
			}
			archivetest.Run{Seed: uint64(i + 1), Result: result}.Write(t, filepath.Join(dir, fmt.Sprint(i)))
		}
		return dir
	}
	c := folders(t, write(0), write(10), How{})
	if got := strings.Join(marks(c), ", "); got != "deadline collapsed worse, deadline lost worse" || !strings.Contains(c.Text(), "100 % (72–100)") {
		t.Errorf("%s\n%s", got, c.Text())
	}
	if got := c.Regressions(0.05); len(got) != 2 {
		t.Errorf("%d", len(got))
	}
}

func TestUnlike(t *testing.T) {
	a := suite(t, 4, 1, nil)
	for name, tt := range map[string]struct {
		run  archivetest.Run
		want string
	}{
		"scenario":    {archivetest.Run{Keys: map[string]string{"slow": "0.1"}}, "scenario surge: slow = 0; 0.1"},
		"host":        {archivetest.Run{Host: map[string]any{"cpu": "another"}}, "hosts: a processor, 2 cores"},
		"engine":      {archivetest.Run{Result: map[string]any{"engine": "virtual"}}, "no host: virtual time"},
		"contestants": {archivetest.Run{Result: map[string]any{"queue": "pie"}}, "no contestant has valid runs in both"},
	} {
		b := t.TempDir()
		tt.run.Write(t, filepath.Join(b, "x"))
		if _, err := Folders(t.Context(), a, b, How{}); !errors.Is(err, ErrUnlike) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		}
		c, err := Folders(t.Context(), a, b, How{Anyway: true})
		if told := name != "contestants"; told != (err == nil) || told && !strings.Contains(c.Text(), tt.want) {
			t.Errorf("%s, anyway: %v", name, err)
		}
	}
	// A folder without a valid run says nothing about what differs, and is not unlike.
	spoilt := t.TempDir()
	archivetest.Run{Result: map[string]any{"valid": false, "invalid_because": "the generator was late"}}.Write(t, filepath.Join(spoilt, "x"))
	for _, sides := range [][2]string{{a, spoilt}, {spoilt, a}, {spoilt, spoilt}} {
		_, err := Folders(t.Context(), sides[0], sides[1], How{Anyway: true})
		if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), spoilt+": no valid run: 1 of 1 are invalid; the first: the generator was late") {
			t.Errorf("%v", err)
		}
	}
	// What is said about a scenario and required of it changes no run.
	b := t.TempDir()
	archivetest.Run{Keys: map[string]string{"about": `"x"`, "require": `"ttr<8s"`}}.Write(t, filepath.Join(b, "x"))
	folders(t, a, b, How{})
	// One contestant each: two that differ are compared if told so.
	fifo := t.TempDir()
	archivetest.Run{Result: map[string]any{"queue": "fifo"}}.Write(t, filepath.Join(fifo, "x"))
	if c := folders(t, b, fifo, How{Anyway: true}); len(c.Unlike) != 1 || !strings.Contains(c.Unlike[0], "contestants: deadline; fifo") {
		t.Errorf("%v", c.Unlike)
	}
}

// What of a damaged folder is whole is compared, and what is missing is named.
func TestDamaged(t *testing.T) {
	a, b := suite(t, 4, 1, nil), suite(t, 4, 2, nil)
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(b, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("codel-s1/manifest.json", `{"schema": 1, "resu`)
	write("codel-s2/manifest.json", `{"schema": 7}`)
	write("suite.json", `{"schema": 1, "cells": [{"folder": "lifo-s1"}, {"folder": "lifo-s9"}, {"folder": "x", "refused": "no"}]}`)
	if err := os.RemoveAll(filepath.Join(b, "lifo-s3")); err != nil {
		t.Fatal(err)
	}
	archivetest.Run{Seed: 4, Result: map[string]any{"valid": false}}.Write(t, filepath.Join(b, "deadline-s4"))
	archivetest.Run{Seed: 4}.Write(t, filepath.Join(b, "deadline-s4-try2"))
	text := folders(t, a, b, How{}).Text()
	for _, want := range []string{"codel-s1/manifest.json: not a manifest", "schema 7, and this program reads 1", "of the suite's runs 1 is missing, the first is lifo-s9", "surge: codel", "4 + 2"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "invalid") {
		t.Errorf("a run that was made again counts as invalid:\n%s", text)
	}
	if _, err := Folders(t.Context(), a, t.TempDir(), How{}); err == nil || errors.Is(err, ErrUnlike) {
		t.Errorf("an empty folder: %v", err)
	}
}
