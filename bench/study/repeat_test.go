package study

import (
	"testing"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/scenario"
)

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
