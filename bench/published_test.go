package bench

import (
	"testing"

	"github.com/leasestorm/leasestorm/bench/scenario"
)

// The outcomes that L. Huang et al., Metastable Failures in the Wild, OSDI 2022, report of
// their retry experiment: 13,000 requests a second with a timeout of 3 s. The load over
// capacity is not in the paper ("must be tuned by hand"); .375 is ours (any of .37 to .38), and with this one
// number all four outcomes are as reported.
func TestPublishedRetry(t *testing.T) {
	for _, tt := range []struct {
		what string
		set  []string
		lost bool
	}{
		{"80 % of the capacity away for 10 s", nil, true},
		{"78 % for 10 s", []string{"slow=0.78"}, false},
		{"80 % for 9 s", []string{"slow_for=9s"}, false},
		{"80 % for 10 s at 30 % fewer requests", []string{"rho=0.2625"}, false},
	} {
		s, err := scenario.Load("published-retry")
		if err == nil {
			err = s.Set(append(tt.set, "leases=13000")...)
		}
		if err != nil {
			t.Fatal(err)
		}
		res := simulate(t, s, Options{Seed: 1})
		if lost := res.Verdict.Lost(); lost != tt.lost {
			t.Errorf("%s: %s, and it is reported to come back: %v", tt.what, res.Verdict, !tt.lost)
		}
	}
}
