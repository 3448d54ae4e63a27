package study

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/record"
	"github.com/leasestorm/leasestorm/bench/scenario"
)

// elsewhereRunner counts what a study expects of it.
type elsewhereRunner struct {
	bench.Virtual
	expected atomic.Int64
}

func (*elsewhereRunner) AtOnce() int       { return 2 }
func (r *elsewhereRunner) Expect(runs int) { r.expected.Add(int64(runs)) }

func (*elsewhereRunner) Do(ctx context.Context, task string, in []byte) ([]byte, error) {
	return DoTask(ctx, task, in)
}

func (*elsewhereRunner) Run(context.Context, scenario.Scenario, bench.Options) (*bench.Result, error) {
	return &bench.Result{Valid: true}, nil
}

// A run that is set aside does not end the others, another error does; and a Wide Runner is seen
// through a Memory.
func TestEach(t *testing.T) {
	other := errors.New("broken")
	for _, tt := range []struct {
		err error
		all bool
	}{{fmt.Errorf("cell 1: %w", ErrSetAside), true}, {other, false}} {
		r := &elsewhereRunner{}
		m, err := Remember(r, "", 0)
		if err != nil {
			t.Fatal(err)
		}
		ran := 0
		err = each(t.Context(), m, 1, 10, 3, func(ctx context.Context, i int) error {
			ran++
			if i == 1 {
				return tt.err
			}
			for range 3 {
				if _, err := m.Run(ctx, scenario.Scenario{}, bench.Options{}); err != nil {
					return err
				}
			}
			return nil
		})
		if !errors.Is(err, tt.err) || (ran == 10) != tt.all || r.expected.Load() != 27 { // one thing asked for nothing
			t.Errorf("%v: %d ran, %d were expected, error %v", tt.err, ran, r.expected.Load(), err)
		}
		if strings.Count(err.Error(), "\n") != 0 {
			t.Errorf("more than one error: %v", err)
		}
	}
}

// A study expects the runs that it asks for: not those that its folder has.
func TestExpectsWhatIsAsked(t *testing.T) {
	r := &elsewhereRunner{}
	m, err := Remember(r, t.TempDir(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = m.Close() }()
	for turn, want := range []int{4, 4 + 2} { // the second asks for two of four runs again
		if err := each(t.Context(), m, 1, 2, 2, func(ctx context.Context, i int) error {
			for seed := range uint64(2) {
				if _, err := m.Run(ctx, scenario.Scenario{}, bench.Options{Seed: seed + 2*uint64(i+turn)}); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if r.expected.Load() != int64(want) {
			t.Errorf("turn %d: %d runs are expected in all, want %d", turn, r.expected.Load(), want)
		}
	}
}

// asideRunner sets one scenario aside.
type asideRunner struct {
	elsewhereRunner
	aside string
	mu    sync.Mutex
	asked int // for it
}

func (r *asideRunner) Run(ctx context.Context, s scenario.Scenario, o bench.Options) (*bench.Result, error) {
	if s.TOML() == r.aside {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.asked++
		return nil, fmt.Errorf("cell 1: %w", ErrSetAside)
	}
	return r.Virtual.Run(ctx, s, o)
}

// A map whose coarse point is set aside runs its finer points, asks for that point once, and is whole when it
// is resumed.
func TestMapGoesOnBesideWhatIsSetAside(t *testing.T) {
	g := smallMap(t)
	whole, _ := runMap(t, g)
	s, err := g.scenario(0, 4, 4)
	if err != nil {
		t.Fatal(err)
	}
	r := &asideRunner{aside: s.TOML()}
	dir := filepath.Join(t.TempDir(), "map")
	if err := NewMap(dir, g); err != nil {
		t.Fatal(err)
	}
	_, err = RunMap(t.Context(), dir, func(string, bench.Runner) (bench.Runner, func(error) error, error) {
		return r, func(err error) error { return err }, nil
	}, nil)
	if !errors.Is(err, ErrSetAside) || r.asked != 1 {
		t.Errorf("%v; the point was asked for %d times, want once", err, r.asked)
	}
	points, err := os.ReadFile(filepath.Join(dir, pointsFile))
	if err != nil || !strings.Contains(string(points), `"x":1,`) && !strings.Contains(string(points), `"x":3,`) {
		t.Errorf("no finer points, %v:\n%s", err, points)
	}
	if _, err := RunMap(t.Context(), dir, nil, nil); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{pointsFile, record.MapFile} {
		got, err := os.ReadFile(filepath.Join(dir, name))
		want, err2 := os.ReadFile(filepath.Join(whole, name))
		if err := errors.Join(err, err2); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s differs from that of a map that was not interrupted: %v", name, err)
		}
	}
}
