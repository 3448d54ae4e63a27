package law

import (
	"testing"

	"github.com/leasestorm/leasestorm/bench/scenario"
)

// uncovered are the keys that the law is not about, each with a value that takes a scenario
// out of it.
var uncovered = map[string]string{
	"kappa": "0.001", "slow": "0.5", "pause": "1s", "launch": "0.1", "operator": "throttle", "then_queue": "lifo",
	"then_admit": "limit", "then_retry": "backoff", "loads": "0.5", "expiry_spread": "1s", "grace": "1s",
	"check_jitter": "0.1", "renew_rate": "0.01", "admit": "token-bucket", "connect_cost": "1", "cancel_seen": "0.5", "hedge_after": "0.5s",
}

// Every key of a scenario is one that the law covers or one that takes a scenario out of it: a
// new key fails here until it is entered.
func TestCovered(t *testing.T) {
	known := map[string]bool{}
	for _, k := range scenario.Keys() {
		known[k.Name] = true
		value, out := uncovered[k.Name]
		if covered[k.Name] == out {
			t.Errorf("key %s: covered %v, and a way out of the law %v: enter it in one of the two lists", k.Name, covered[k.Name], out)
			continue
		}
		if !out {
			continue
		}
		s, err := scenario.Load("surge")
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := Of(&s); !ok {
			t.Fatal("the law is not about the surge")
		}
		set := []string{k.Name + "=" + value}
		switch k.Name {
		case "then_queue", "then_admit", "then_retry":
			set = append(set, "operator=switch")
		case "loads":
			set = append(set, "outage=0s", "broken=0")
		}
		if err := s.Set(set...); err != nil {
			t.Fatal(err)
		}
		if _, ok := Of(&s); ok {
			t.Errorf("the law says it is about a scenario with %s", set)
		}
	}
	for name := range covered {
		if !known[name] {
			t.Errorf("%s is covered, and no key", name)
		}
	}
}
