package published

import (
	"fmt"
	"slices"
	"time"
)

// Source is where a result was published.
type Source struct {
	Name string // short
	URL  string
}

// Point is a published result and how it is made again.
type Point struct {
	Name     string
	Source   Source
	Scenario string   // a file of docs/examples/published; "": it is not modelled
	Set      []string // what differs from it, as for --set
	Theirs   Claim
	Seeds    int // runs
	// Differs says what differs in the model, for a result that does not agree; of one that is not modelled,
	// what the model lacks and what it would take.
	Differs string

	measure func(r *run) float64 // of a share: 1 or 0
}

// Claim is what was published.
type Claim struct {
	Text string
	// Low and High are equal for a share of runs. Between them is what rounds to a number, or its range.
	Low, High float64
	Of        int    // runs that it is a share of; 1: how one run ended; 0: it is a number, and ours a median
	what      string // of a share, what its runs do; of a number, its format
}

// count is the claim that k of n seeds end in the way that what says.
func count(k, n int, what string) Claim {
	share := float64(k) / float64(n)
	return Claim{Text: fmt.Sprintf("%d of %d %s", k, n, what), Low: share, High: share, Of: n, what: what}
}

// outcome is the claim that a run ends in the way that text says.
func outcome(text, what string) Claim {
	return Claim{Text: text, Low: 1, High: 1, Of: 1, what: what}
}

// number is the claim of a number, in the given format, which has rounded it by half at most.
func number(x, half float64, format string) Claim {
	return Claim{Text: fmt.Sprintf(format, x), Low: x - half, High: x + half, what: format}
}

var (
	moonpool   = Source{"moonpool #193, Aug 2026", "https://github.com/PierreZ/moonpool/pull/193"}
	osdi22     = Source{"L. Huang et al., OSDI 2022", "https://www.usenix.org/conference/osdi22/presentation/huang-lexiang"}
	sregym     = Source{"SREGym #946, Jul 2026", "https://github.com/SREGym/SREGym/pull/946"}
	breakwater = Source{"I. Cho et al., OSDI 2020", "https://www.usenix.org/conference/osdi20/presentation/cho"}
	collapse   = Source{"M. Brooker, collapse sim", "https://github.com/mbrooker/simulator_example/blob/main/simple_collapse_sim/sim.py"}
	stability  = Source{"Stability Sim, Apr 2026", "https://github.com/marcbrooker/stability-sim"}
)

// burst is the phase in which the second load of a ramp begins, behind the steady state and two phases of the
// first load.
const burst = 3

// Points returns all published results.
func Points() []Point {
	var all []Point
	saturated := func(r *run) float64 {
		_, good := r.before(r.end(), 10*time.Second, r.fitted.Launch)
		return truth(good < 0.5)
	}
	for _, l := range []struct {
		slow  string
		k, of int
	}{{"500ms", 0, 64}, {"600ms", 0, 64}, {"650ms", 31, 64}, {"650ms", 95, 200}, {"700ms", 64, 64}, {"2s", 64, 64}} {
		all = append(all, Point{
			Name: fmt.Sprintf("moonpool %s, %d seeds", l.slow, l.of), Source: moonpool, Scenario: "moonpool.toml", Set: []string{"slow_for=" + l.slow},
			Theirs: count(l.k, l.of, "saturated"), Seeds: l.of, measure: saturated,
			Differs: "ours has no network: there a round trip and its jitter take a part of the 200 ms",
		})
	}
	recovers := func(r *run) float64 { return 1 - saturated(r) }
	for _, o := range []struct {
		name string
		set  []string
		down bool
	}{
		{"80 % away for 10 s", nil, true}, {"78 % away for 10 s", []string{"slow=0.78"}, false},
		{"80 % away for 9 s", []string{"slow_for=9s"}, false}, {"80 % for 10 s, 30 % fewer", []string{"launch=0.2625"}, false},
	} {
		p := Point{
			Name: "OSDI'22 retry, " + o.name, Source: osdi22, Scenario: "osdi22-retry.toml", Set: o.set, Theirs: outcome("recovers", "recover"), Seeds: 10, measure: recovers,
			Differs: "the load over capacity is not in the paper, and is .375 here",
		}
		if o.down {
			p.Theirs, p.measure = outcome("stays down", "stay down"), saturated
		}
		all = append(all, p)
	}
	for _, o := range []struct {
		name           string
		end            func(r *run) time.Duration
		attempts, good float64
	}{
		{"before", func(r *run) time.Duration { return r.log.Phases[burst].Start }, 1, 1},
		{"after", func(r *run) time.Duration { return r.end() }, 3, 0},
	} {
		window := func(r *run) (attempts, good float64) { return r.before(o.end(r), 5*time.Second, r.fitted.Loads[0]) }
		differs := "ours has one worker and no network, and notices a full queue at the time-out"
		all = append(all, Point{
			Name: "SREGym " + o.name + ", attempts", Source: sregym, Scenario: "sregym.toml", Seeds: 20, Differs: differs,
			Theirs:  number(o.attempts, .005, "%.2f attempts per request"),
			measure: func(r *run) float64 { attempts, _ := window(r); return attempts },
		}, Point{
			Name: "SREGym " + o.name + ", success", Source: sregym, Scenario: "sregym.toml", Seeds: 20, Differs: differs,
			Theirs:  number(float64(100*o.good), .5, "%.0f %% success"),
			measure: func(r *run) float64 { _, good := window(r); return 100 * good },
		})
	}
	all = append(all, Point{
		Name: "Stability Sim retry storm", Source: stability, Scenario: "stability-sim.toml", Theirs: outcome("stays down", "stay down"), Seeds: 20, measure: saturated,
		Differs: "ours has one queue before both servers, and a slow half in the crash instead of a server that answers with errors",
	})
	return append(append(all, breakwaters()...), Point{
		Name: "collapse sim, 80/s for 5 s", Source: collapse, Theirs: outcome("stays down", "stay down"),
		Differs: "a service there takes 1 s, and 10 ms more for each request in service; κ counts those that wait. It would take a count of the attempts in service in the manager, and a key that adds them to κ",
	})
}

// slower is how many times as long as theirs the times of breakwater.toml are.
const slower = 50

// breakwaters are what the abstract of Breakwater's paper says of a jump of the demand to 1.4 of capacity.
func breakwaters() []Point {
	// jump is the phase in which the load jumps.
	const jump = 3
	after := func(r *run) []float64 { return r.steps(r.log.Phases[jump].Start) }
	// The time, in their ms, until the goodput of a step is 90 % of the mean of the last 10 s.
	converges := func(r *run) float64 {
		goodput := after(r)
		mean, last := 0.0, goodput[len(goodput)-int(10*time.Second/r.log.Step):]
		for _, x := range last {
			mean += x / float64(len(last))
		}
		at := slices.IndexFunc(goodput, func(x float64) bool { return x >= 0.9*mean })
		return (time.Duration(at+1) * r.log.Step / slower).Seconds() * 1e3
	}
	// A collapse: in a step, less than half of the goodput before the jump.
	collapses := func(is bool) func(r *run) float64 {
		return func(r *run) float64 { return truth((slices.Min(after(r)) < r.fitted.Loads[0]/2) == is) }
	}
	dagor := []string{"admit=dagor:target=0.35,window=5"}
	free := "a refusal is free here; there it costs the server about as much as a service, and 1,000 clients hear of a new threshold with their next answer only"
	all := []Point{
		{Name: "Breakwater at 1.4, time", Theirs: Claim{Text: "less than 20 ms", High: 20, what: "%.0f ms"}, measure: converges},
		{Name: "Breakwater at 1.4, outcome", Theirs: outcome("does not collapse", "do not collapse"), measure: collapses(false)},
		{Name: "DAGOR at 1.4, outcome", Set: dagor, Theirs: outcome("collapses", "collapse"), measure: collapses(true)},
		{Name: "DAGOR at 1.4, time", Set: dagor, Theirs: number(500, 5, "%.0f ms"), measure: converges},
	}
	for i := range all {
		all[i].Source, all[i].Scenario, all[i].Seeds, all[i].Differs = breakwater, "breakwater.toml", 10, free
	}
	return append(all, Point{
		Name: "SEDA at 1.4, time", Source: breakwater, Theirs: number(1580, 5, "%.0f ms"),
		Differs: "there is no such controller here. It would take a token bucket per client whose rate follows a high percentile of the answers' times",
	})
}

// truth is 1 or 0.
func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
