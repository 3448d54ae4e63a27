package plot

import "slices"

// Curves is the data of a figure of lines, each with a thin one beside it.
type Curves struct {
	Title, XLabel, YLabel string
	Names                 []string
	Lines, Thin           []Line // Thin[i] belongs to Lines[i]
	ThinIs                string // what the thin lines are
	Whole                 bool   // X is a count
}

// NewSweep makes the data of goodput against offered load, a line a contestant; where the
// load came down again, one more for the way back.
func NewSweep(cells []Cell) Curves {
	f := Curves{
		Title: title(cells), XLabel: "offered load (× capacity)", YLabel: "goodput (× capacity)", ThinIs: "throughput, late work included",
	}
	round := returns(cells)
	for _, g := range contestants(cells) {
		for _, back := range []bool{false, true}[:1+round] {
			good, all := map[float64][]float64{}, map[float64][]float64{}
			var loads []float64
			for _, c := range g.cells {
				for k, p := range c.Manifest.Result.Points {
					turn := back && k+1 < len(c.Manifest.Result.Points) && c.Manifest.Result.Points[k+1].Back && !p.Back
					if p.Back != back && !turn {
						continue // the way back begins at the highest load
					}
					if good[p.Load] == nil {
						loads = append(loads, p.Load)
					}
					good[p.Load] = append(good[p.Load], p.Goodput)
					all[p.Load] = append(all[p.Load], p.Throughput)
				}
			}
			slices.Sort(loads)
			var line, thin Line
			for _, load := range loads {
				line.median(load, good[load])
				thin.median(load, all[load])
			}
			if len(g.cells) == 1 {
				line.Low, line.High = nil, nil
			}
			thin.Low, thin.High = nil, nil
			name := g.name
			if round > 0 {
				name += map[bool]string{false: ", load rising", true: ", load falling"}[back]
			}
			f.Names = append(f.Names, name)
			f.Lines, f.Thin = append(f.Lines, line), append(f.Thin, thin)
		}
	}
	if round > 0 {
		f.Thin, f.ThinIs = nil, "" // the loop is to be seen
	}
	return f
}

// returns is 1 where a load comes down again, else 0.
func returns(cells []Cell) int {
	for _, c := range cells {
		for _, p := range c.Manifest.Result.Points {
			if p.Back {
				return 1
			}
		}
	}
	return 0
}
