package study

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"

	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/internal/parallel"
	"github.com/leasestorm/leasestorm/bench/scenario"
)

// Place says where a study makes its runs. Of the folder of the study, which is locked, and of the Runner
// that the study's manifest names, it returns the Runner that the study is to use. end is called once, with
// the error that ended the study, when no run is on its way any more. A nil Place is this process.
type Place func(dir string, here bench.Runner) (there bench.Runner, end func(error) error, err error)

// Open is a call of p. It may be nil.
func (p Place) Open(dir string, here bench.Runner) (bench.Runner, func(error) error, error) {
	if p == nil {
		return here, func(err error) error { return err }, nil
	}
	return p(dir, here)
}

// Wide is a Runner that makes its runs in other processes.
type Wide interface {
	// Do does a [Task] of that name in another process. in and the result are JSON.
	Do(ctx context.Context, task string, in []byte) ([]byte, error)
	// AtOnce is the number of runs to ask for at a time.
	AtOnce() int
	// Expect adds to the number of runs that the study is about to ask for, so that the time left can be
	// told. What turns out not to be asked for, such as a run that is there already, is taken off again by a
	// negative number.
	Expect(runs int)
}

// ErrSetAside is returned, wrapped, by a Wide Runner for a run that it gives up until the study is resumed.
// It does not end the runs beside it.
var ErrSetAside = errors.New("set aside")

// wide is the Wide Runner behind a Runner, or nil.
func wide(runner bench.Runner) Wide {
	if m, ok := runner.(*Memory); ok {
		runner = m.Runner
	}
	w, _ := runner.(Wide)
	return w
}

// atOnce is how many runs of a scenario are made at a time: one where they must be alone, else one
// per processor, as far as memory goes, or what a Wide Runner asks for. bytes is the least memory of
// each in this process.
func atOnce(runner bench.Runner, s scenario.Scenario) (at int, bytes int64) {
	if w := wide(runner); w != nil {
		return w.AtOnce(), 0
	}
	if runner.Alone() {
		return 1, 0
	}
	return bench.AtOnce(s)
}

// askedKey is that of the number of runs that a Memory has asked its Runner for, in the context of a thing
// that each does.
type askedKey struct{}

// each does n things of so many runs each, at a time, like [parallel.Do]. A run that was set aside does
// not end the others; it is an error in the end.
func each(ctx context.Context, runner bench.Runner, at, n, runs int, do func(ctx context.Context, i int) error) error {
	w := wide(runner)
	if w != nil {
		w.Expect(n * runs)
	}
	if _, ok := runner.(*Memory); ok && w != nil {
		inner := do
		do = func(ctx context.Context, i int) error {
			var asked atomic.Int64
			defer func() { w.Expect(int(asked.Load()) - runs) }()
			return inner(context.WithValue(ctx, askedKey{}, &asked), i)
		}
	}
	var (
		mu    sync.Mutex
		aside []error
	)
	err := parallel.Do(ctx, at, n, func(ctx context.Context, i int) error {
		err := do(ctx, i)
		if !errors.Is(err, ErrSetAside) {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		aside = append(aside, err)
		return nil
	})
	slices.SortFunc(aside, func(a, b error) int { return cmp.Compare(a.Error(), b.Error()) })
	// Several things may have asked for the same one.
	aside = slices.CompactFunc(aside, func(a, b error) bool { return a.Error() == b.Error() })
	return errors.Join(append([]error{err}, aside...)...)
}
