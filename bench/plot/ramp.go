package plot

import "slices"

// Curves is the data of a figure of lines, each with a thin line beside it.
type Curves struct {
	Title, XLabel, YLabel string
	Names                 []string
	Lines, Thin           []Line // Thin[i] belongs to Lines[i]
	ThinIs                string // legend of the thin lines; "": there are none
	Whole                 bool   // X is an integer
	Dots                  []Line // Dots[i] are the measured points of Lines[i], drawn with their extremes
	Work                  string // the workload
	Pairs                 bool   // lines 2i and 2i+1 belong together: one colour, the second dashed
}

// NewSweep returns the data of a figure of goodput over offered load, one line per contestant. If
// the load came down again, each contestant has a second line for the way back.
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
	f.Pairs = round > 0
	if round > 0 {
		f.Thin, f.ThinIs = nil, "" // thin lines would hide the hysteresis loop
	}
	return f
}

// returns is 1 if the load of a cell comes down again, else 0.
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
