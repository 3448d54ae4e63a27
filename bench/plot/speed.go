package plot

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// SpeedFile is the name of the file with the rows of "leasestorm bench speed".
const SpeedFile = "speed.json"

// speedRow is the part of a row that the figure uses.
type speedRow struct {
	Work       string  `json:"work"`
	Contestant string  `json:"contestant"`
	Goroutines int     `json:"goroutines"`
	Pinned     bool    `json:"pinned"`
	PerSecond  float64 `json:"per_second"`
	Low        float64 `json:"low"`
	High       float64 `json:"high"`
}

// NewSpeed returns the data of figures of throughput by number of goroutines, one figure per
// workload. note is appended to each title.
func NewSpeed(rows []speedRow, note string) []Curves {
	var all []Curves
	for _, r := range rows {
		if !r.Pinned || strings.ContainsAny(r.Contestant, ":") {
			continue // the text table has them; a figure with all of them would be unreadable
		}
		i := slices.IndexFunc(all, func(c Curves) bool { return c.Title == r.Work+note })
		if i < 0 {
			all = append(all, Curves{Title: r.Work + note, XLabel: "goroutines, each pinned", YLabel: "operations (million/s)", Whole: true})
			i = len(all) - 1
		}
		c := &all[i]
		k := slices.Index(c.Names, r.Contestant)
		if k < 0 {
			c.Names, c.Lines = append(c.Names, r.Contestant), append(c.Lines, Line{})
			k = len(c.Names) - 1
		}
		l := &c.Lines[k]
		l.X, l.Y = append(l.X, float64(r.Goroutines)), append(l.Y, r.PerSecond/1e6)
		l.Low, l.High = append(l.Low, r.Low/1e6), append(l.High, r.High/1e6)
	}
	return all
}

// drawSpeed draws the rows of SpeedFile, if it exists.
func drawSpeed(dir string) (made []string, err error) {
	path := filepath.Join(dir, SpeedFile)
	var file struct {
		Rows []speedRow `json:"rows"`
		Host struct {
			Cores   int  `json:"cores"`
			Virtual bool `json:"virtual"`
		} `json:"host"`
	}
	if there, err := readResult(path, "rows of speed", &file); !there || err != nil {
		return nil, err
	}
	note := fmt.Sprintf("; %d cores", file.Host.Cores)
	if file.Host.Virtual {
		note += " (virtual)"
	}
	for _, c := range NewSpeed(file.Rows, note) {
		name := "speed-" + slug(c.Title[:len(c.Title)-len(note)])
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
