package report

import (
	"errors"
	"fmt"
	"slices"

	"github.com/leasestorm/leasestorm/bench/archive"
	"github.com/leasestorm/leasestorm/bench/host"
)

// speed is the throughput of tables and disciplines over goroutines, with the fitted law where there
// are counts enough for one.
func (p *Page) speed(s *Section, path string) error {
	var f archive.Speed
	if _, err := archive.ReadResult(path, "rows of speed", &f); err != nil {
		return err
	}
	if len(f.Rows) == 0 {
		return fmt.Errorf("%s: %w", path, errors.New("it has no rows"))
	}
	p.machine(f.Host, host.Usage{})
	t := Table{Title: "throughput, medians (extremes)", Columns: []Column{{"work", true}, {"contestant", true}, {"goroutines", false}, {"pinned", true}, {"million per second", false}}}
	for _, r := range f.Rows {
		n := float64(r.Goroutines)
		t.Rows = append(t.Rows, []Entry{
			word(r.Work), word(r.Contestant), number(&n, fmt.Sprint(r.Goroutines)), word(map[bool]string{true: "yes", false: "no"}[r.Pinned]),
			number(&r.PerSecond, spread{r.PerSecond / 1e6, r.Low / 1e6, r.High / 1e6, 3}.text("%.2f")),
		})
	}
	s.Tables = append(s.Tables, t)
	if len(f.Laws) == 0 {
		s.Text = append(s.Text, "There are too few counts of goroutines for a curve with the scalability law: it takes four.")
		return nil
	}
	laws := Table{Title: "the scalability law, fitted (95 % intervals)", Columns: []Column{{"work", true}, {"contestant", true}, {"contention σ", false}, {"coherence κ", false}, {"peak (goroutines)", false}}}
	for _, l := range f.Laws {
		laws.Rows = append(laws.Rows, []Entry{
			word(l.Work), word(l.Contestant), number(&l.Sigma, spread{l.Sigma, l.SigmaCI[0], l.SigmaCI[1], 2}.text("%.4f")),
			number(&l.Kappa, spread{l.Kappa, l.KappaCI[0], l.KappaCI[1], 2}.text("%.6f")), number(&l.Peak, fmt.Sprintf("%.0f", l.Peak)),
		})
	}
	s.Tables = append(s.Tables, laws)
	s.curves(f.Rows, f.Laws)
	return nil
}

// curves draws a chart per kind of work: what was measured, and the law as a thin line.
func (s *Section) curves(rows []archive.SpeedRow, laws []archive.SpeedLaw) {
	var works []string
	for _, r := range rows {
		if !slices.Contains(works, r.Work) {
			works = append(works, r.Work)
		}
		if !slices.Contains(s.Names, r.Contestant) {
			s.Names = append(s.Names, r.Contestant)
		}
	}
	if len(s.Names) > manyLines {
		s.Most = manyLines
	}
	var part Part
	for _, work := range works {
		c := Chart{Title: work + "; thin: the fitted law", XLabel: "goroutines", YLabel: "million per second"}
		for _, r := range rows {
			if r.Work == work && r.Pinned {
				c.X = append(c.X, float64(r.Goroutines))
			}
		}
		slices.Sort(c.X)
		if c.X = slices.Compact(c.X); len(c.X) < 3 {
			continue
		}
		for key, name := range s.Names {
			line := Series{Name: name, Key: key}
			var x, y, low, high []float64
			for _, r := range rows {
				if r.Work == work && r.Contestant == name && r.Pinned {
					x, y, low, high = append(x, float64(r.Goroutines)), append(y, r.PerSecond/1e6), append(low, r.Low/1e6), append(high, r.High/1e6)
				}
			}
			if len(x) == 0 || !slices.IsSorted(x) {
				continue
			}
			line.Y, line.Low, line.High = c.spread(x, y), c.spread(x, low), c.spread(x, high)
			c.Series = append(c.Series, line)
			if i := slices.IndexFunc(laws, func(l archive.SpeedLaw) bool { return l.Work == work && l.Contestant == name && l.Pinned }); i >= 0 {
				law := Series{Name: name, Label: name + ", the law", Key: key, Thin: true}
				for _, n := range c.X {
					law.Y = append(law.Y, laws[i].At(n)/1e6)
				}
				c.Series = append(c.Series, law)
			}
		}
		part.Charts = append(part.Charts, c)
	}
	if len(part.Charts) > 0 {
		s.Parts = append(s.Parts, part)
	}
}
