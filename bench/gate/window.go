package gate

import (
	"fmt"
	"math"

	"github.com/leasestorm/leasestorm/bench/archive"
	"github.com/leasestorm/leasestorm/bench/internal/require"
)

// over is why a run that is back has nothing in a window that ends with the recovery.
const over = "back before the window begins"

// inWindow is a measure of a time window of a run: the mean, or the worst step.
func inWindow(c *require.Condition, w *require.Window, cell archive.Cell) (x float64, none string, err error) {
	if cell.Series == nil {
		return 0, "", fmt.Errorf("%s: no whole series.csv, which a time window needs", cell.Folder)
	}
	from, to, open, err := bounds(w, cell)
	if err != nil {
		return 0, "", err
	}
	var steps []int
	ts := cell.Series["t_s"] // the ends of the steps
	for i, t := range ts {
		begin := 0.0
		if i > 0 {
			begin = ts[i-1]
		}
		if begin >= from-1e-9 && t <= to+1e-9 {
			steps = append(steps, i)
		}
	}
	if len(steps) == 0 {
		if open {
			return 0, over, nil
		}
		return 0, fmt.Sprintf("no step of the run lies in the window: the run ends %.4g s after its start", ts[len(ts)-1]), nil
	}
	return read(c, cell, steps)
}

// bounds are the ends of a window in run time. open says that the recovery ends it.
func bounds(w *require.Window, cell archive.Cell) (from, to float64, open bool, err error) {
	m := &cell.Manifest
	if w.Steady {
		to, ok := m.Phase("outage")
		if !ok {
			to = math.Inf(1)
		}
		return 0, to, false, nil
	}
	back, ok := m.Phase("return")
	if !ok {
		return 0, 0, false, fmt.Errorf("%w: %s has no outage, and so no return", ErrNoMatch, m.Result.Scenario)
	}
	_, timeout, err := askedOf(cell)
	if err != nil {
		return 0, 0, false, err
	}
	from, to = back+w.From.Seconds(timeout), math.Inf(1)
	switch {
	case w.To.Unit != "":
		to = back + w.To.Seconds(timeout)
	case m.Result.TTR != nil:
		to, open = back+*m.Result.TTR, true
	}
	return from, to, open, nil
}

// read is a measure of some steps.
func read(c *require.Condition, cell archive.Cell, steps []int) (x float64, none string, err error) {
	s := cell.Series
	sum := func(of func(i int) float64) (total float64) {
		for _, i := range steps {
			total += of(i)
		}
		return total
	}
	column := func(name string) ([]float64, error) {
		if s[name] == nil {
			return nil, fmt.Errorf("%s: series.csv has no column %s", cell.Folder, name)
		}
		return s[name], nil
	}
	switch name := c.Measure.Name; name {
	case "establish_goodput", "check_goodput", "launch_goodput":
		class := name[:len(name)-len("_goodput")]
		good, err := column("good_" + class)
		if err != nil {
			return 0, "", err
		}
		begin := 0.0
		if steps[0] > 0 {
			begin = s["t_s"][steps[0]-1]
		}
		rate := sum(func(i int) float64 { return good[i] }) / (s["t_s"][steps[len(steps)-1]] - begin)
		if c.Unit != "%" {
			return rate, "", nil
		}
		r := &cell.Manifest.Result
		capacity := float64(r.Workers) * 1e6 / r.Service[class]
		if !(r.Service[class] > 0) {
			return 0, "", fmt.Errorf("%s: manifest.json does not say how long a service of a %s takes", cell.Folder, class)
		}
		return rate / capacity, "", nil
	case "wasted_work":
		wasted, err := column("wasted_work")
		if err != nil {
			return 0, "", err
		}
		busy, err := column("busy")
		if err != nil {
			return 0, "", err
		}
		if all := sum(func(i int) float64 { return busy[i] }); all > 0 {
			return sum(func(i int) float64 { return float64(wasted[i] * busy[i]) }) / all, "", nil
		}
		return 0, "", nil
	}
	all, err := column(map[string]string{"active": "active", "queued": "queued", "sojourn_p99": "sojourn_p99_s"}[c.Measure.Name])
	if err != nil {
		return 0, "", err
	}
	return worst(c, all, steps)
}

// worst is the value of the step that is the farthest from what is required.
func worst(c *require.Condition, all []float64, steps []int) (x float64, none string, err error) {
	x = math.NaN()
	for _, i := range steps {
		v := all[i]
		if math.IsNaN(v) {
			continue // a quantile of nothing
		}
		worse := math.IsNaN(x)
		switch c.Op {
		case "<", "<=":
			worse = worse || v > x
		case ">", ">=":
			worse = worse || v < x
		default:
			worse = worse || c.Holds(x) && !c.Holds(v)
		}
		if worse {
			x = v
		}
	}
	if math.IsNaN(x) {
		return 0, "nothing was recorded in the window", nil
	}
	return x, "", nil
}
