package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// cell is one run of a suite.
type cell struct {
	scenario string
	set      []string // what differs from the scenario
}

// name is the cell's folder.
func (c cell) name(i int) string {
	n := c.scenario
	for _, s := range c.set {
		_, v, _ := strings.Cut(s, "=")
		n += "-" + fileName(v)
	}
	return fmt.Sprintf("%02d-%s", i+1, n)
}

// fileName is a part's reference as a piece of a file's name.
func fileName(ref string) string {
	return strings.NewReplacer(":", "-", "=", "", ",", "-", "+", "-").Replace(ref)
}

// shortSuite is the surge by discipline, and the days that fifo survives.
var shortSuite = []cell{
	{"steady", nil},
	{"surge-100", []string{"queue=fifo"}},
	{"surge", []string{"queue=fifo"}},
	{"surge", []string{"queue=lifo"}},
	{"surge", []string{"queue=deadline"}},
	{"surge", []string{"queue=fifo", "admit=token-bucket", "retry=backoff"}},
}

// RunSuite runs the short suite into a folder, a folder a cell, and returns the
// results in order. A cell that is finished stays, whatever happens after it.
func RunSuite(ctx context.Context, dir string, o Options) ([]*Result, error) {
	if _, err := os.Lstat(dir); err == nil {
		return nil, fmt.Errorf("%s exists already; name another folder or move it away", dir)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	var all []*Result
	for i, c := range shortSuite {
		s, err := LoadScenario(c.scenario)
		if err != nil {
			return all, err
		}
		if err := s.Set(c.set...); err != nil {
			return all, err
		}
		cellOptions := o
		cellOptions.Folder = filepath.Join(dir, c.name(i))
		o.say("[%d/%d] %s", i+1, len(shortSuite), c.name(i))
		res, err := Run(ctx, s, cellOptions)
		if err != nil {
			return all, err
		}
		o.say("      %s, TTR %s", res.Verdict, orDash(res.TTR, "%.2f s"))
		all = append(all, res)
	}
	return all, nil
}

// Table is the results of a suite for a person, a line each.
func Table(all []*Result) string {
	rows := [][]string{{"scenario", "queue", "admit", "retry", "broken", "β", "verdict", "TTR", "η", "goodput/s", "wasted", "slip p99.9"}}
	for _, r := range all {
		rows = append(rows, []string{
			r.Scenario, r.Queue, r.Admit, r.Retry, fmt.Sprint(r.Broken), fmt.Sprintf("%.2f", r.Beta), string(r.Verdict),
			orDash(r.TTR, "%.2f s"), orDash(r.Efficiency, "%.2f"), fmt.Sprintf("%.0f", r.Goodput["establish"]),
			fmt.Sprintf("%.0f %%", 100*r.WastedWork), fmt.Sprintf("%.2f ms", r.Slip.P999),
		})
	}
	return columns(rows)
}

// columns aligns cells under each other.
func columns(rows [][]string) string {
	var widths []int
	for _, row := range rows {
		for i, c := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], len([]rune(c)))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		line := ""
		for i, c := range row {
			line += c + strings.Repeat(" ", widths[i]-len([]rune(c))+2)
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}
