package oracle

import (
	"context"
	"errors"
	"math"
	"testing"
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
	for _, m := range Defaults() {
		if testing.Short() && m.Servers > 2 {
			continue
		}
		t.Run(m.String(), func(t *testing.T) {
			t.Parallel()
			rows, err := Measure(t.Context(), m, 200_000, 1)
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

func TestValidate(t *testing.T) {
	for _, m := range []Model{
		{Name: "mmc", Servers: 1, Rho: 1}, {Name: "mmc", Servers: 0, Rho: 0.5}, {Name: "md1", Servers: 2, Rho: 0.5}, {Name: "mg1", Servers: 1, Rho: 0.5},
		{Name: "mmck", Servers: 3, Rho: 0.5, K: 2}, {Name: "impatient", Servers: 1, Rho: 0.5}, {Name: "gg1", Servers: 1, Rho: 0.5}, {Name: "repairman", Servers: 1, K: 0, Think: 1}, {Name: "repairman", Servers: 1, K: 5}, {Name: "repairman", Servers: 0, K: 5, Think: 1}, {Name: "mmc", Servers: 1, Rho: math.NaN()},
	} {
		if err := m.Validate(); !errors.Is(err, ErrModel) {
			t.Errorf("%+v: %v", m, err)
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
