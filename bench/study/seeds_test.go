package study

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/scenario"
)

// Seeds run in order, each in a folder of its own, and are told of. The first error ends them;
// beside it stand the results that there are, and no other.
func TestSeeds(t *testing.T) {
	bad := errors.New("bad")
	for _, tt := range []struct {
		name string
		err  error // of the third run
		want []uint64
		said int
	}{
		{"all", nil, []uint64{7, 8, 9, 10}, 4},
		{"an error", bad, []uint64{7, 8}, 2},
		{"interrupted", context.Canceled, []uint64{7, 8}, 2},
		{"files cannot be written", fmt.Errorf("%w: %w", bench.ErrFiles, bad), []uint64{7, 8, 9}, 2},
	} {
		var said bytes.Buffer
		ran := 0
		runner := runnerFunc(func(_ context.Context, _ scenario.Scenario, o bench.Options) (*bench.Result, error) {
			if want := filepath.Join("base", fmt.Sprintf("s%d", o.Seed)); o.Folder != want {
				t.Errorf("%s: a run in %s, want %s", tt.name, o.Folder, want)
			}
			if ran++; ran == 3 {
				return &bench.Result{Seed: o.Seed}, tt.err
			}
			return &bench.Result{Seed: o.Seed}, nil
		})
		all, err := seeds(t.Context(), runner, scenario.Default(), bench.Options{Seed: 7, Folder: "base", Progress: &said}, 4)
		if !errors.Is(err, tt.err) {
			t.Errorf("%s: %v", tt.name, err)
		}
		var got []uint64
		for _, r := range all {
			got = append(got, r.Seed)
		}
		if !slices.Equal(got, tt.want) || strings.Count(said.String(), "\n") != tt.said {
			t.Errorf("%s: seeds %v, want %v; said\n%s", tt.name, got, tt.want, said.String())
		}
	}
}

// Only valid runs count in a measure, and only those that have it.
func TestSample(t *testing.T) {
	run := func(v bench.Verdict, ttr ...float64) *bench.Result {
		r := &bench.Result{Verdict: v, Valid: v != bench.Invalid}
		if len(ttr) > 0 {
			r.TTR = &ttr[0]
		}
		return r
	}
	s := sample{run(bench.Recovered, 4), run(bench.Invalid, 99), run(bench.Recovered, 1), run(bench.Collapsed, 50), run(bench.Collapsed), run(bench.Healthy)}
	if got := s.valid().spread(ttr); *got != (Spread{Median: 4, Min: 1, Max: 50, N: 3}) {
		t.Errorf("of the valid runs: %+v", got)
	}
	if got := s.valid().back().median(ttr); *got != 2.5 {
		t.Errorf("of those that came back: %v", *got)
	}
	if c := s.collapse(); c.K != 2 || c.N != 5 {
		t.Errorf("collapse %+v", c)
	}
	if sample(nil).median(ttr) != nil || sample(nil).spread(ttr) != nil {
		t.Error("a median of nothing")
	}
	for want, s := range map[bool]sample{false: s[:5], true: s[2:5]} {
		if s.mostLost() != want {
			t.Errorf("%d of %d are lost, and most: %v", len(s)-len(s.back()), len(s), !want)
		}
	}
}
