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

// NewSweep makes the data of goodput against offered load, a line a contestant.
func NewSweep(cells []Cell) Curves {
	f := Curves{
		Title: title(cells), XLabel: "offered load (× capacity)", YLabel: "goodput (× capacity)", ThinIs: "throughput, late work included",
	}
	for _, g := range contestants(cells) {
		good, all := map[float64][]float64{}, map[float64][]float64{}
		var loads []float64
		for _, c := range g.cells {
			for _, p := range c.Manifest.Result.Points {
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
		f.Names = append(f.Names, g.name)
		f.Lines, f.Thin = append(f.Lines, line), append(f.Thin, thin)
	}
	return f
}
