package study

import (
	"testing"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/scenario"
)

func TestWilson(t *testing.T) {
	// Brown, Cai and DasGupta, Statistical Science 16(2), 2001, give the formula; the values
	// are worked out from it.
	for _, tt := range []struct {
		k, n      int
		low, high float64
	}{{0, 10, 0, 0.2775}, {10, 10, 0.7225, 1}, {5, 10, 0.2366, 0.7634}, {0, 0, 0, 1}} {
		p := Wilson(tt.k, tt.n)
		if d := p.Low - tt.low; d > 1e-4 || d < -1e-4 {
			t.Errorf("%d of %d: low %.4f, want %.4f", tt.k, tt.n, p.Low, tt.low)
		}
		if d := p.High - tt.high; d > 1e-4 || d < -1e-4 {
			t.Errorf("%d of %d: high %.4f, want %.4f", tt.k, tt.n, p.High, tt.high)
		}
	}
}

// surgeAt is the surge on 10,000 leases, with what is set.
func surgeStudy(t *testing.T, set ...string) scenario.Scenario {
	t.Helper()
	s, err := scenario.Load("surge")
	if err == nil {
		err = s.Set(append([]string{"leases=10000", "broken=1000"}, set...)...)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func simulateStudy(t *testing.T, s scenario.Scenario, o bench.Options) *bench.Result {
	t.Helper()
	res, err := bench.Virtual{}.Run(t.Context(), s, o)
	if err != nil {
		t.Fatal(err)
	}
	return res
}
