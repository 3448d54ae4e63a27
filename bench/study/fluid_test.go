package study

import (
	"math"
	"testing"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/internal/show"
	"github.com/leasestorm/leasestorm/bench/law"
)

// The borders that the event engine has, measured at 10^5 leases (docs/border.md), H/τ = 20,
// σ = 4.
func TestFluidBorder(t *testing.T) {
	if testing.Short() {
		t.Skip("figures, without concurrency: the long run has them")
	}
	for _, tt := range []struct{ rho, spread, wait, delta, want float64 }{
		{0.05, 0, 0, 1, 2.033}, {0.25, 0, 0, 1, 2.122}, {0.5, 0, 0, 1, 2.617}, {0.75, 0, 0, 1, 4.567},
		{0.25, 0.1, 0, 1, 2.200}, {0.25, 0.5, 0, 1, 2.487}, {0.25, 1, 0, 1, 2.903},
		{0.25, 0.1, 0.5, 1, 2.565}, {0.25, 0.1, 1, 1, 2.981}, {0.25, 0.1, 2, 1, 3.789},
		{0.25, 0.1, 0, 0.5, 3.216}, {0.25, 0.1, 0, 0.25, 5.325}, {0.25, 0.1, 0, 0.1, 12.330},
	} {
		f := law.Fluid{Rho: tt.rho, Checks: 4 * tt.rho * 20, Sigma: 4, TTL: 60, Spread: tt.spread, Wait: tt.wait, Delta: tt.delta}
		b, _ := f.Border()
		if got := b / (1 - tt.rho); math.Abs(got-tt.want) > 0.02*tt.want {
			t.Errorf("ρ %g, spread %g, w %g, δ %g: β* %.3f, measured %.3f", tt.rho, tt.spread, tt.wait, tt.delta, got, tt.want)
		}
	}
	// Without checks it is the batch law, b > 1 + (1 + w)/δ; just below it so little is good at
	// first that the judge gives up.
	for _, tt := range []struct{ wait, delta, want float64 }{{0, 1, 2}, {1, 1, 3}, {0, 0.5, 3}} {
		f := law.Fluid{Rho: 1e-6, Checks: 1e3, Sigma: 1, Wait: tt.wait, Delta: tt.delta}
		if got, _ := f.Border(); got > 1.005*tt.want || got < 0.97*tt.want {
			t.Errorf("w %g, δ %g: b* %.3f, the batch law says %g", tt.wait, tt.delta, got, tt.want)
		}
	}
}

// The engine's border meets the law.
func TestFindBorder(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine: the long run has it")
	}
	s := surgeStudy(t)
	s.Duration = BorderTimeouts * s.Timeout
	b, err := FindBorder(t.Context(), bench.Virtual{}, s, bench.Options{Seed: 1}, 1)
	if err != nil {
		t.Fatal(err)
	}
	if b.Beta == nil || math.Abs(*b.Off) > 0.03 {
		t.Errorf("%+v\n%s", b, b.Text())
	}
	s.Queue = "pie"
	if b, err = FindBorder(t.Context(), bench.Virtual{}, s, bench.Options{Seed: 1}, 1); err != nil || b.ByLaw {
		t.Errorf("pie: %v, %+v", err, b)
	}
}

// The law and the engine agree about every discipline that the law is about: on the border,
// or on when all leases are back.
func TestFluidDisciplines(t *testing.T) {
	if testing.Short() {
		t.Skip("figures, without concurrency: the long run has them")
	}
	for _, tt := range []struct{ queue, retry, service string }{
		{"lifo", "immediate", "fixed"}, {"lifo", "backoff", "exponential"},
		{"deadline", "immediate", "exponential"}, {"deadline", "backoff", "fixed"},
		{"slack", "fixed:wait=1", "fixed"}, {"slack", "backoff", "exponential"},
		{"deadline:margin=0", "immediate", "fixed"}, {"deadline:margin=0", "backoff", "fixed"},
		{"deadline:margin=0", "backoff", "exponential"}, {"fifo", "backoff", "fixed"}, {"edf", "immediate", "fixed"},
		{"codel", "immediate", "fixed"}, {"codel:exponent=0.7", "immediate", "exponential"}, {"codel:exponent=0.8", "immediate", "fixed"},
		{"codel:exponent=1", "immediate", "fixed"}, {"codel:exponent=2", "fixed:wait=0.3", "fixed"},
	} {
		t.Run(tt.queue+"/"+tt.retry+"/"+tt.service, func(t *testing.T) {
			t.Parallel()
			s := surgeStudy(t, "leases=10000", "broken=100", "queue="+tt.queue, "retry="+tt.retry, "service_law="+tt.service)
			s.Duration = BorderTimeouts * s.Timeout
			b, err := FindBorder(t.Context(), bench.Virtual{}, s, bench.Options{Seed: 1}, 1)
			if err != nil {
				t.Fatal(err)
			}
			near := func(a, b *float64, share float64) bool {
				return (a == nil) == (b == nil) && (a == nil || math.Abs(*a / *b - 1) < share)
			}
			if !b.ByLaw || !near(b.Beta, b.Law, 0.05) || b.Beta == nil && !near(b.Back, b.LawBack, 0.03) {
				t.Error(b.Text())
			}
		})
	}
}

// Over exponent × β the law and the engine agree on whether CoDel brings the leases back, and when.
func TestFluidCoDel(t *testing.T) {
	for _, exponent := range []string{"0.5", "0.75", "1"} {
		for _, broken := range []string{"1500", "2000", "4000", "7000", "12000"} { // β 2 to 16
			s := surgeStudy(t, "leases=20000", "broken="+broken, "queue=codel:exponent="+exponent, "duration=60s")
			s.Duration = BorderTimeouts * s.Timeout
			f, about := law.Of(&s)
			if !about {
				t.Fatal("the law is not about codel")
			}
			back, ok := f.Recovery(float64(s.Broken) / float64(f.CoDel.Establishes))
			res, err := bench.Virtual{}.Run(t.Context(), s, bench.Options{Seed: 1})
			if err != nil {
				t.Fatal(err)
			}
			if got := res.TTR != nil; got != ok || ok && math.Abs(*res.TTR/back-1) > 0.03 {
				t.Errorf("exponent %s, %s broken: %s after %s, the law says %.2f τ, %v", exponent, broken, res.Verdict, show.Dash(res.TTR, "%.2f s"), back, ok)
			}
		}
	}
}
