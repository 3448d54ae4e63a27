package study

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/law"
)

// surviving is a host on which so many broken leases are survived, β being their number, and
// on which the first runs of each size are spoilt.
func surviving(most, spoilt int) func(broken int) (*bench.Result, error) {
	tries := map[int]int{}
	return func(broken int) (*bench.Result, error) {
		res := &bench.Result{Broken: broken, Beta: float64(broken), Valid: true, Verdict: bench.Recovered}
		if broken > most {
			res.Verdict = bench.Collapsed
		}
		if tries[broken]++; tries[broken] <= spoilt {
			res.Valid, res.Verdict = false, bench.Invalid
		}
		return res, nil
	}
}

func TestBisectBroken(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		high := rapid.IntRange(1, 100_000).Draw(t, "high")
		most := rapid.IntRange(0, 2*high).Draw(t, "survived")
		tolerance := rapid.SampledFrom([]float64{0, 0.005, 0.05}).Draw(t, "tolerance")
		spoilt := rapid.IntRange(0, invalidTries).Draw(t, "spoilt")
		b, err := bisectBroken(high, tolerance, invalidTries, surviving(most, spoilt))
		near := max(1, tolerance*float64(high))
		switch {
		case err != nil:
			t.Fatal(err)
		case b.invalid != (spoilt == invalidTries):
			t.Fatalf("%d spoilt tries: %+v", spoilt, b)
		case b.invalid: // neither lost nor survived
		case b.above != (most >= high) || b.above && b.beta != float64(high):
			t.Fatalf("%d survived of %d: %+v", most, high, b)
		case !b.above && (b.beta < float64(most)-near || b.beta > float64(most)+1+near):
			t.Fatalf("%d survived: β %v", most, b.beta)
		}
	})
	bad := errors.New("bad")
	if _, err := bisectBroken(10, 0, 1, func(int) (*bench.Result, error) { return nil, bad }); !errors.Is(err, bad) {
		t.Error(err)
	}
}

// A seed that survived all that was tried is above every other in the median, and one that
// the host spoilt is nowhere in it.
func TestThresholdMedian(t *testing.T) {
	at := func(betas ...float64) (all []bound) {
		for _, b := range betas {
			all = append(all, bound{beta: b})
		}
		return all
	}
	above, invalid := bound{beta: 10, above: true}, bound{invalid: true}
	for _, tt := range []struct {
		name   string
		bounds []bound
		engine string
		want   string
	}{
		{"none above", at(2, 1, 3), "virtual", "2.00 (1.00–3.00)"},
		{"four of nine above", append(at(2.1, 2.2, 2.3, 2.4, 2.44), above, above, above, above), "virtual", "2.44 (2.10–≥ 10.00)"},
		{"half above", append(at(2, 1), above, above), "virtual", "≥ 6.00 (1.00–≥ 10.00)"},
		{"most above", append(at(2), above, above), "virtual", "≥ 10.00 (2.00–≥ 10.00)"},
		{"all above", []bound{above, above}, "virtual", "all leases (20.0)"},
		{"all above what was tried", []bound{above}, "real", "≥ 10.00, 41 leases, the most tried"},
		{"one invalid", append(at(2, 3, 1), invalid), "real", "2.00 (1.00–3.00)"},
		{"all invalid", []bound{invalid, invalid}, "real", "–"},
	} {
		th := Threshold{Contestant: "x", Engine: tt.engine, All: tt.engine == "virtual", Most: 20, Tried: 41, BatchLaw: 2}
		th.sum(tt.bounds)
		text := ThresholdText([]Threshold{th})
		if !strings.Contains(text, tt.want+"  ") {
			t.Errorf("%s: want %s in\n%s", tt.name, tt.want, text)
		}
		known := !strings.Contains(tt.want, "≥") || strings.Contains(tt.want, "–≥") && !strings.HasPrefix(tt.want, "≥")
		if known = known && tt.want != "–" && !strings.HasPrefix(tt.want, "all"); strings.Contains(text, "%") != known {
			t.Errorf("%s: the difference from the law:\n%s", tt.name, text)
		}
		if strings.Contains(text, "seeds invalid") != (th.Invalid > 0) {
			t.Errorf("%s: %d invalid:\n%s", tt.name, th.Invalid, text)
		}
	}
}

// The border of few leases is a surge that is lost, one lease above one that is survived.
func TestBorderOfFewLeases(t *testing.T) {
	for _, set := range [][]string{{"leases=100"}, {"leases=300"}, {"leases=100", "rho=0.5"}} {
		s := surgeStudy(t, append([]string{"broken=1"}, set...)...)
		o := bench.Options{Seed: 1}
		b, err := FindBorder(t.Context(), bench.Virtual{}, s, o, 1)
		if err != nil {
			t.Fatal(err)
		}
		s.Duration = max(s.Duration, law.FluidTimeouts*s.Timeout)
		f := &finder{bench.Virtual{}, o, 1}
		for broken, want := range map[int]bool{b.Broken: true, b.Broken - 1: false} {
			s.Broken = broken
			if lost, err := f.lost(t.Context(), s); err != nil || lost != want {
				t.Errorf("%v: the border is B = %d, but with %d lost is %v (%v)", set, b.Broken, broken, lost, err)
			}
		}
	}
}
