package archive

import "slices"

// Goodput returns goodput over offered load, one line per contestant, with the throughput beside it. If
// the load came down again, each contestant has a second line for the way back: pairs is true, and
// there are no thin lines, which would hide the hysteresis loop.
func Goodput(cells []Cell) (f Lines, pairs bool) {
	round := returns(cells)
	for _, g := range Contestants(cells) {
		for _, back := range []bool{false, true}[:1+round] {
			good, all := map[float64][]float64{}, map[float64][]float64{}
			var loads []float64
			for _, c := range g.Cells {
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
			if len(g.Cells) == 1 {
				line.Low, line.High = nil, nil
			}
			thin.Low, thin.High = nil, nil
			name := g.Name
			if round > 0 {
				name += map[bool]string{false: ", load rising", true: ", load falling"}[back]
			}
			f.Names = append(f.Names, name)
			f.Lines, f.Thin = append(f.Lines, line), append(f.Thin, thin)
		}
	}
	if round > 0 {
		f.Thin = nil
	}
	return f, round > 0
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
