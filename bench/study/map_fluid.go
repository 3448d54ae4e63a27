package study

import "github.com/leasestorm/leasestorm/bench/law"

// FluidLine is a contestant's border by the fluid law, over a map of which one axis is the surge.
type FluidLine struct {
	ByLaw bool       `json:"law"`      // the law is about this contestant, somewhere on the map
	Beta  []*float64 `json:"law_beta"` // β* by step of the other axis; null: none, or none by the law
}

// fluid is a line per contestant, or nil if no axis of the map is the surge.
func (g *Map) fluid() []FluidLine {
	surge := func(axis string) bool { return axis == "beta" || axis == "broken" }
	if g.Measure == "healthy" || !surge(g.X.Axis) && !surge(g.Y.Axis) {
		return nil
	}
	lines := make([]FluidLine, len(g.Contestants))
	for c := range lines {
		other := g.Y.N
		if surge(g.Y.Axis) {
			other = g.X.N
		}
		l := FluidLine{Beta: make([]*float64, other)}
		for i := range other {
			x, y := 0, i
			if surge(g.Y.Axis) {
				x, y = i, 0
			}
			s, err := g.scenario(c, x, y)
			if err != nil {
				continue
			}
			beta, about := law.Beta(&s)
			l.Beta[i], l.ByLaw = beta, l.ByLaw || about
		}
		lines[c] = l
	}
	return lines
}
