package law

import (
	"math"
	"math/rand/v2"
	"testing"
)

// What the head of a queue that drops has left, against the walk of which the law speaks.
func TestFluidDecay(t *testing.T) {
	if testing.Short() {
		t.Skip("figures, without concurrency: the long run has them")
	}
	for _, tt := range []struct {
		establishes, checks float64
		exponential         bool
	}{{2, 0, false}, {2, 0, true}, {1.2, 0, false}, {1, 1.6, false}, {1, 1.6, true}, {0.2, 6, false}} {
		f := Fluid{Sigma: 4, Exponential: tt.exponential}
		rng := rand.New(rand.NewPCG(1, 1))
		all := tt.establishes + tt.checks
		left, n, late := 0.0, [2]float64{}, [2]float64{}
		for range 1_000_000 {
			class, service := 0, 1.0
			if rng.Float64()*all >= tt.establishes {
				class, service = 1, 1/f.Sigma
			}
			if tt.exponential {
				service *= rng.ExpFloat64()
			}
			if n[class]++; left < service {
				late[class]++
			}
			if left += rng.ExpFloat64()/all - service; left < 0 {
				left = rng.ExpFloat64() / all
			}
		}
		y := f.decay(tt.establishes, tt.checks)
		for class, want := range [2]float64{f.tooLate(y), f.tooLate(y / f.Sigma)} {
			if got := late[class] / n[class]; n[class] > 0 && math.Abs(got-want) > 0.01 {
				t.Errorf("%+v: of class %d %.4f are late, the law says %.4f", tt, class, got, want)
			}
		}
	}
	f := Fluid{Sigma: 4, Exponential: true}
	if got := f.tooLate(f.decay(4, 0)); math.Abs(got-0.75) > 1e-6 {
		t.Errorf("of exponential services at 4 times the capacity %g are late, want 1 - 1/4", got)
	}
	if got := f.decay(0.5, 1.9); got != 0 {
		t.Errorf("what the capacity does for is taken up in time; decay %g", got)
	}
}
