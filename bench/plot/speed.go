package plot

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/leasestorm/leasestorm/bench/archive"
	"github.com/leasestorm/leasestorm/bench/internal/show"
)

// limits says in words how far the contestant scales. most is the highest number of goroutines that
// was measured.
func limits(l *archive.SpeedLaw, most float64) string {
	switch rate := func(x float64) string { return show.Rate(x/1e6) + " million/s" }; {
	case l.Peak > most:
		return fmt.Sprintf("peak expected at %.0f goroutines, not measured", l.Peak)
	case l.Peak > 1:
		return fmt.Sprintf("peak at %.0f goroutines, %s", l.Peak, rate(l.At(l.Peak)))
	case l.Peak > 0 || l.Sigma >= 1:
		return "no gain from a second goroutine"
	case l.Sigma > 0:
		return "at most " + rate(l.Lambda/l.Sigma)
	}
	return "no limit seen"
}

// ErrFewCounts is returned, wrapped, for rates of too few numbers of goroutines for a figure.
var ErrFewCounts = errors.New("no figure: the scalability law is fitted to 4 numbers of goroutines or more")

const (
	leastCounts = 4 // of a fit of three parameters
	mostLines   = 7 // as many as there are colours
)

// drawn reports whether the figures have the row. The text table has the others: a figure with all
// of them would be unreadable.
func drawn(r *archive.SpeedRow) bool { return r.Pinned && !strings.Contains(r.Contestant, ":") }

// NewSpeed returns the data of figures of throughput by number of goroutines, for each workload as
// many figures of seven contestants as there must be. Points are what was measured, with the extremes
// of the rounds, and lines are the fitted laws. note is appended to each title. The error is
// ErrFewCounts if less than four numbers of goroutines were measured.
func NewSpeed(rows []archive.SpeedRow, laws []archive.SpeedLaw, note string) ([]Curves, error) {
	var all []Curves
	var counts []int
	byWork := map[string]int{} // the last figure of the workload
	for _, r := range rows {
		if !drawn(&r) {
			continue
		}
		if !slices.Contains(counts, r.Goroutines) {
			counts = append(counts, r.Goroutines)
		}
		i, seen := byWork[r.Work]
		if !seen || len(all[i].Names) == mostLines && !slices.Contains(all[i].Names, r.Contestant) {
			all = append(all, Curves{Title: r.Work + note, XLabel: "goroutines, each pinned", YLabel: "operations (million/s)", Whole: true, Work: r.Work})
			i = len(all) - 1
			byWork[r.Work] = i
		}
		c := &all[i]
		k := slices.Index(c.Names, r.Contestant)
		if k < 0 {
			c.Names, c.Dots = append(c.Names, r.Contestant), append(c.Dots, archive.Line{})
			k = len(c.Names) - 1
		}
		l := &c.Dots[k]
		l.X, l.Y = append(l.X, float64(r.Goroutines)), append(l.Y, r.PerSecond/1e6)
		l.Low, l.High = append(l.Low, r.Low/1e6), append(l.High, r.High/1e6)
	}
	if slices.Sort(counts); len(counts) < leastCounts {
		return nil, fmt.Errorf("%w, and there are %d (%s): see the table", ErrFewCounts, len(counts), strings.Trim(fmt.Sprint(counts), "[]"))
	}
	for i := range all {
		c := &all[i]
		for k, name := range c.Names {
			at := slices.IndexFunc(laws, func(l archive.SpeedLaw) bool { return l.Work == c.Work && l.Contestant == name && l.Pinned })
			if at < 0 {
				c.Names[k] += ": no fit"
				c.Lines = append(c.Lines, archive.Line{})
				continue
			}
			law, most := &laws[at], slices.Max(c.Dots[k].X)
			c.Names[k] += ": " + limits(law, most)
			var line archive.Line
			const steps = 100
			for s := range steps + 1 {
				n := 1 + (most-1)*float64(s)/steps
				line.X, line.Y = append(line.X, n), append(line.Y, law.At(n)/1e6)
			}
			c.Lines = append(c.Lines, line)
		}
	}
	return all, nil
}

// drawSpeed draws the rows of SpeedFile, if it exists.
func drawSpeed(dir string) (made []string, err error) {
	path := filepath.Join(dir, archive.SpeedFile)
	var file archive.Speed
	if there, err := archive.ReadResult(path, "rows of speed", &file); !there || err != nil {
		return nil, err
	}
	note := fmt.Sprintf("; %d cores", file.Host.Cores)
	if file.Host.Virtual {
		note += " (virtual)"
	}
	note += "; points: measured, with the extremes; lines: the scalability law"
	figures, err := NewSpeed(file.Rows, file.Laws, note)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for _, c := range figures {
		name := "speed-" + slug(c.Work)
		for k := 2; slices.Contains(made, name); k++ {
			name = fmt.Sprintf("speed-%s-%d", slug(c.Work), k)
		}
		if err := c.save(dir, name); err != nil {
			return made, err
		}
		made = append(made, name)
	}
	return made, nil
}

// slug turns words into a file name.
func slug(s string) string {
	out := []rune{}
	for _, r := range s {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			out = append(out, r)
		case len(out) > 0 && out[len(out)-1] != '-':
			out = append(out, '-')
		}
	}
	return string(out)
}
