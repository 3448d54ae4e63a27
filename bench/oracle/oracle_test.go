package oracle

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"
)

// The closed forms, against values from tables.
func TestTheory(t *testing.T) {
	for _, tt := range []struct {
		name      string
		got, want float64
	}{
		{"Erlang C, 1 at .9", ErlangC(1, 0.9), 0.9},
		{"Erlang C, 4 at .9", ErlangC(4, 3.6), 0.787753},
		{"Erlang C, 16 at .95", ErlangC(16, 15.2), 0.780192},
		{"Erlang C, 64 at .99", ErlangC(64, 63.36), 0.905947},
		{"Erlang B, 10 at 8", ErlangB(10, 8), 0.121661},
		{"Erlang B, 100 at 120", ErlangB(100, 120), 0.196270},
		{"M/D/1 at .9", PollaczekKhinchine(0.9, 0), 4.5},
		{"M/G/1 at .9, cv² 4", PollaczekKhinchine(0.9, 2), 22.5},
		{"M/M/1/10 at .8", LossMMCK(1, 10, 0.8), 0.023493},
		{"M/M/1/10 at 1", LossMMCK(1, 10, 1), 0.090909},
		{"M/M/1/10 at 2", LossMMCK(1, 10, 2), 0.500244},
		{"M/M/10/10 at 8", LossMMCK(10, 10, 0.8), 0.121661},
		{"impatient .8, 10", Model{Name: "impatient", Servers: 1, Rho: 0.8, Timeout: 10}.Theory()[0].Theory, 0.691732},
		{"impatient .95, 10", Model{Name: "impatient", Servers: 1, Rho: 0.95, Timeout: 10}.Theory()[0].Theory, 0.373796},
		{"E W² of fifo at .8", SquareWait("fifo", 1, 0.8), 40}, // these by the equations of a tagged customer
		{"E W² in random order at .8", SquareWait("random", 1, 0.8), 66.666667},
		{"E W² in random order at .95", SquareWait("random", 1, 0.95), 1447.619048},
		{"E W² of lifo at .8", SquareWait("lifo", 1, 0.8), 200},
		{"E W² of lifo at .9", SquareWait("lifo", 1, 0.9), 1800},
		{"E W² of fifo, 2 servers at .5", SquareWait("fifo", 2, 0.5), 0.666667},
		{"repairman, 1 server, 2 customers", first(Repairman(1, 2, 1)), 0.5},
		{"repairman, 1 server, 2 customers, wait", second(Repairman(1, 2, 1)), 0.5},
	} {
		if math.Abs(tt.got-tt.want) > 1e-6*math.Max(1, tt.want) {
			t.Errorf("%s: %.6f, want %.6f", tt.name, tt.got, tt.want)
		}
	}
	// With very many customers it is M/M/1.
	if _, wait := Repairman(1, 100_000, 125_000); math.Abs(wait-4) > 0.01 {
		t.Errorf("repairman of 10^5 customers at .8: mean wait %.4f, want nearly 4", wait)
	}
}

func first(a, _ float64) float64  { return a }
func second(_, b float64) float64 { return b }

// The virtual engine agrees with each closed form, within its own confidence interval. The
// seed is fixed: the intervals are of 99.9 %, and there are some forty of them.
func TestEngineAgrees(t *testing.T) {
	if testing.Short() {
		t.Skip("figures, of one goroutine each: the long run has them")
	}
	for _, m := range Defaults() {
		t.Run(m.String(), func(t *testing.T) {
			t.Parallel()
			rows, err := Measure(t.Context(), m, max(200_000, int(m.needed())), 1)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range rows {
				if !r.Pass {
					t.Errorf("%s: %.5f, theory %.5f ± %.5f", r.Quantity, r.Measured, r.Theory, r.Tolerance)
				}
			}
		})
	}
}

// The mean square of the wait tells the orders of service from each other: what is measured in one order lies
// outside the interval around the law of another.
func TestSquareTellsOrders(t *testing.T) {
	for _, name := range []string{"random", "lifo"} {
		m := Model{Name: name, Servers: 1, Rho: 0.8}
		rows, err := Measure(t.Context(), m, 400_000, 1)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			if r.Quantity != "mean square wait" {
				continue
			}
			for _, other := range []string{"fifo", "random", "lifo"} {
				if law := SquareWait(other, 1, 0.8); (math.Abs(r.Measured-law) <= r.Tolerance) != (other == name) {
					t.Errorf("%s: mean square %.2f ± %.2f, and %s has %.2f", name, r.Measured, r.Tolerance, other, law)
				}
			}
		}
	}
}

// What no run can answer for is refused by the name of the parameter, before the run.
func TestValidate(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	for _, tt := range []struct {
		m    Model
		want string
	}{
		{Model{Name: "mmc", Servers: 1, Rho: 1}, "rho 1"},
		{Model{Name: "mmc", Servers: 0, Rho: 0.5}, "servers 0"},
		{Model{Name: "mmc", Servers: 1 << 40, Rho: 0.5}, "servers 1099511627776"},
		{Model{Name: "mmc", Servers: 1, Rho: nan}, "rho NaN"},
		{Model{Name: "mmc", Servers: 1, Rho: -inf}, "rho -Inf"},
		{Model{Name: "mmc", Servers: 1, Rho: 1e-17}, "rho 1e-17"},
		{Model{Name: "random", Servers: 1, Rho: 1}, "rho 1"},
		{Model{Name: "lifo", Servers: 0, Rho: 0.5}, "servers 0"},
		{Model{Name: "md1", Servers: 1, Rho: 1e-9}, "rho 1e-09"},
		{Model{Name: "md1", Servers: 2, Rho: 0.5}, "servers 2"},
		{Model{Name: "mg1", Servers: 1, Rho: 0.5}, "cv 0"},
		{Model{Name: "mg1", Servers: 1, Rho: 0.5, CV: nan}, "cv NaN"},
		{Model{Name: "mg1", Servers: 1, Rho: 0.5, CV: inf}, "cv +Inf"},
		{Model{Name: "mmck", Servers: 3, Rho: 0.5, K: 2}, "k 2"},
		{Model{Name: "mmck", Servers: 1, Rho: 0.5, K: 1e11}, "k 100000000000"},
		{Model{Name: "mmck", Servers: 1, Rho: inf, K: 5}, "rho +Inf"},
		{Model{Name: "impatient", Servers: 1, Rho: 0.5}, "timeout 0"},
		{Model{Name: "impatient", Servers: 1, Rho: 0.5, Timeout: inf}, "timeout +Inf"},
		{Model{Name: "impatient", Servers: 1, Rho: 0.5, Timeout: nan}, "timeout NaN"},
		{Model{Name: "impatient", Servers: 1, Rho: 0.5, Timeout: 1e13}, "timeout 1e+13"},
		{Model{Name: "repairman", Servers: 1, K: 0, Think: 1}, "k 0"},
		{Model{Name: "repairman", Servers: 1, K: 5}, "think 0"},
		{Model{Name: "repairman", Servers: 1, K: 5, Think: nan}, "think NaN"},
		{Model{Name: "repairman", Servers: 1, K: 1, Think: 1e6}, "k 1 customers who think for 1e+06"},
		{Model{Name: "repairman", Servers: 0, K: 5, Think: 1}, "servers 0"},
		{Model{Name: "gg1", Servers: 1, Rho: 0.5}, "there are"},
	} {
		for _, err := range []error{tt.m.Validate(), Check(tt.m, 1e6), CheckReal(tt.m, time.Second)} {
			if !errors.Is(err, ErrModel) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%+v: %v, want %s", tt.m, err, tt.want)
			}
		}
	}
}

// A run that is short beside the time in which its queue forgets is refused, with the
// number of customers that settles it; that number is taken.
func TestCheck(t *testing.T) {
	for _, tt := range []struct {
		m        Model
		arrivals int
		want     string // "": taken
	}{
		{Model{Name: "mmc", Servers: 1, Rho: 0.95}, 1_000_000, ""},
		{Model{Name: "mmc", Servers: 1, Rho: 0.99}, 1_000_000, "want at least 27000000,"},
		{Model{Name: "mmc", Servers: 1, Rho: 0.99}, 27_000_000, ""},
		{Model{Name: "mmc", Servers: 1, Rho: 0.999}, 1_000_000, "want at least 2700000000,"},
		{Model{Name: "mmc", Servers: 1, Rho: 0.9999}, 1_000_000, "2.7e+11 customers are needed"},
		{Model{Name: "impatient", Servers: 1, Rho: 0.99, Timeout: 10}, 1_000_000, "want at least 27000000,"},
		{Model{Name: "mg1", Servers: 1, Rho: 0.8, CV: 2}, 1_000_000, ""},
		{Model{Name: "mg1", Servers: 1, Rho: 0.5, CV: 3}, 1_000_000, "want at least 4500000,"},
		{Model{Name: "mg1", Servers: 1, Rho: 0.8, CV: 20}, 1_000_000, "1.2e+13 customers are needed"},
		{Model{Name: "mmck", Servers: 1, Rho: 1, K: 1000}, 1_000_000, "want at least 68000000,"},
		{Model{Name: "mmck", Servers: 1, Rho: 2, K: 1_000_000}, 1_000_000, "want at least 40000000,"}, // it fills up for 10^6 services
		{Model{Name: "repairman", Servers: 1, K: 1000, Think: 2000}, 1_000_000, ""},
		{Model{Name: "random", Servers: 1, Rho: 0.5}, 20_000, "want at least 39000,"},
		{Model{Name: "lifo", Servers: 1, Rho: 0.8}, 1_000_000, ""},
		{Model{Name: "lifo", Servers: 64, Rho: 0.2}, 1_000_000, "customers are needed"}, // next to nobody waits
		{Model{Name: "mmc", Servers: 1, Rho: 0.5}, 100, "want at least 3900,"},
		{Model{Name: "mmc", Servers: 1, Rho: 0.5}, 1 << 40, "up to 4e+09"},
	} {
		err := Check(tt.m, tt.arrivals)
		if tt.want == "" && err != nil || tt.want != "" && (!errors.Is(err, ErrModel) || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%v, %d arrivals: %v, want %q", tt.m, tt.arrivals, err, tt.want)
		}
	}
	for _, m := range Defaults() {
		if err := Check(m, 1_000_000); err != nil {
			t.Error(err)
		}
	}
	for _, m := range RealDefaults() {
		if m.needed() > float64(m.arrivals(3*time.Second)) {
			t.Errorf("%v: %d customers in a real run, want %.0f", m, m.arrivals(3*time.Second), m.needed())
		}
	}
}

// The shortest runs that are taken keep to their intervals: 1 of 1,000 rows is expected
// outside, and of the mean waits a few more. The seeds are fixed.
func TestIntervals(t *testing.T) {
	for _, m := range []Model{
		{Name: "mmc", Servers: 1, Rho: 0.8}, {Name: "mmc", Servers: 4, Rho: 0.5}, {Name: "mg1", Servers: 1, Rho: 0.5, CV: 1.5},
		{Name: "mmck", Servers: 1, Rho: 1, K: 10}, {Name: "mmck", Servers: 1, Rho: 2, K: 1000}, {Name: "repairman", Servers: 2, K: 30, Think: 15},
		{Name: "random", Servers: 1, Rho: 0.5}, {Name: "lifo", Servers: 2, Rho: 0.5},
	} {
		t.Run(m.String(), func(t *testing.T) {
			t.Parallel()
			outside := 0
			for seed := range uint64(20) {
				rows, err := Measure(t.Context(), m, int(m.needed()), seed)
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range rows {
					if !r.Pass {
						outside++
						t.Logf("seed %d, %s: %.5f, theory %.5f ± %.5f", seed, r.Quantity, r.Measured, r.Theory, r.Tolerance)
					}
				}
			}
			if outside > 1 {
				t.Errorf("%d rows of 20 runs are outside their intervals", outside)
			}
		})
	}
}

// Losses that are rare come in clusters: a run that by chance has none proves nothing.
func TestRareLoss(t *testing.T) {
	m := Model{Name: "mmck", Servers: 1, Rho: 0.9, K: 75}
	for seed := range uint64(16) {
		rows, err := Measure(t.Context(), m, int(m.needed()), seed)
		if err != nil {
			t.Fatal(err)
		}
		if r := rows[0]; !r.Pass {
			t.Errorf("seed %d: loss %g, theory %g ± %g", seed, r.Measured, r.Theory, r.Tolerance)
		}
	}
}

// cancelled is a context that is over from the second look on.
type cancelled struct {
	context.Context
	looks int
}

func (c *cancelled) Err() error {
	if c.looks++; c.looks > 1 {
		return context.Canceled
	}
	return nil
}

func TestMeasureCancelled(t *testing.T) {
	for _, m := range []Model{{Name: "mmc", Servers: 1, Rho: 0.5}, {Name: "repairman", Servers: 1, K: 10, Think: 8}} {
		if rows, err := Measure(&cancelled{Context: t.Context()}, m, 10_000, 1); !errors.Is(err, context.Canceled) || rows != nil {
			t.Errorf("%v: %d rows, %v", m, len(rows), err)
		}
	}
}

// counting is a context that counts how often it is looked at.
type counting struct {
	context.Context
	looks int
}

func (c *counting) Err() error { c.looks++; return c.Context.Err() }

// A validation looks at its context by what it does, however far apart in virtual time.
func TestMeasureLooksAtItsContext(t *testing.T) {
	ctx := &counting{Context: t.Context()}
	if _, err := Measure(ctx, Model{Name: "mmc", Servers: 1, Rho: .5}, 100_000, 1); err != nil {
		t.Fatal(err)
	}
	if ctx.looks < 100 {
		t.Errorf("looked %d times in 100,000 arrivals", ctx.looks)
	}
}
