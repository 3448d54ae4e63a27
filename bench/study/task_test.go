package study

import (
	"context"
	"errors"
	"slices"
	"testing"

	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/bench"
)

var double = NewTask("test-double", func(_ context.Context, x []float64) (float64, error) { return 2 * x[0], nil })

// A task gives the same here and in another process, which refuses what it does not know or cannot read.
func TestTask(t *testing.T) {
	for _, runner := range []bench.Runner{nil, bench.Virtual{}, &elsewhereRunner{}} {
		if got, err := double.Do(t.Context(), runner, []float64{0.1}); err != nil || got != 0.2 {
			t.Errorf("%T: %v, %v", runner, got, err)
		}
	}
	for name, in := range map[string]string{"test-none": "[1]", "test-double": `{"a":1}`} {
		if _, err := DoTask(t.Context(), name, []byte(in)); !errors.Is(err, ErrTask) {
			t.Errorf("%s of %s: %v", name, in, err)
		}
	}
}

// A value that a study's folder has is not made again, and what was asked for elsewhere is counted.
func TestKept(t *testing.T) {
	var made atomic.Int64 // Each may ask for several at a time
	dir := t.TempDir()
	for turn, want := range []struct{ made, expected int }{{3, 3}, {4, 1}} {
		r := &elsewhereRunner{}
		m, err := Remember(r, dir, 0)
		if err != nil {
			t.Fatal(err)
		}
		err = Each(t.Context(), m, 1, 3+turn, func(ctx context.Context, i int) error {
			got, err := Kept(m, string(rune('a'+i)), func() (float64, error) {
				made.Inc()
				return double.Do(ctx, m, []float64{float64(i)})
			})
			if got != float64(2*i) {
				t.Errorf("%d: %v", i, got)
			}
			return err
		})
		if err = errors.Join(err, m.Close()); err != nil {
			t.Fatal(err)
		}
		if made.Load() != int64(want.made) || r.expected.Load() != int64(want.expected) {
			t.Errorf("turn %d: %d made, %d expected, want %+v", turn, made.Load(), r.expected.Load(), want)
		}
	}
}

// Things that end in any order are told of in theirs, until one fails.
func TestInOrder(t *testing.T) {
	var told []int
	stop := errors.New("stop")
	done := InOrder(5, func(i int) error {
		if told = append(told, i); i == 3 {
			return stop
		}
		return nil
	})
	errs := 0
	for _, i := range []int{2, 0, 1, 4, 3} {
		if err := done(i); err != nil {
			errs++
		}
	}
	if !slices.Equal(told, []int{0, 1, 2, 3}) || errs != 1 {
		t.Errorf("told %v, %d errors", told, errs)
	}
}
