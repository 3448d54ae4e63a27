package report

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"time"

	"github.com/leasestorm/leasestorm/bench/archive"
	"github.com/leasestorm/leasestorm/bench/hist"
	"github.com/leasestorm/leasestorm/bench/internal/files"
)

// The rows of a heat map: eight a decade, from 10 µs on.
const (
	heatLow    = 0.01 // ms
	perDecade  = 8
	mostHeats  = manyLines
	heatLevels = 16 // of a byte, per doubling of the count
)

// heats returns a map of sojourn times over time for each contestant, of its first run. A run of an
// older version has no log of them, and no map.
func heats(all []archive.Contestant) (Part, error) {
	p := Part{Title: "Sojourn time over time: the darker, the more attempts (a logarithmic scale); of each contestant's first run"}
	for key, c := range all {
		if len(p.Heats) == mostHeats {
			p.Title += fmt.Sprintf("; of the first %d contestants", mostHeats)
			break
		}
		if len(c.Cells) == 0 {
			continue
		}
		path := filepath.Join(c.Cells[0].Folder, "sojourn.hlog")
		text, err := files.Read(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return p, err
		}
		log, err := hist.ReadLog(string(text))
		if err != nil {
			return p, fmt.Errorf("%s: %w", path, err)
		}
		if len(log.Intervals) > 1 {
			p.Heats = append(p.Heats, heatOf(log, c, key))
		}
	}
	// One scale for all, so that they can be compared.
	rows, columns := 0, 0
	for _, h := range p.Heats {
		rows, columns = max(rows, h.Rows), max(columns, len(h.Columns))
	}
	for i := range p.Heats {
		h := &p.Heats[i]
		h.Rows = rows
		for len(h.Columns) < columns {
			h.Columns = append(h.Columns, nil)
		}
		for k, c := range h.Columns {
			h.Columns[k] = append(c, make([]byte, rows-len(c))...)
		}
	}
	return p, nil
}

// heatOf lays a log's intervals out as columns. Their stamps count from the start of the run.
func heatOf(log *hist.Log, c archive.Contestant, key int) Heat {
	m := &c.Cells[0].Manifest
	back, _ := m.Phase("return")
	h := Heat{Title: c.Name, Key: key, XLabel: "time since the dependency's return (s)", YLabel: "ms", From: -back, Step: log.Intervals[0].Length.Seconds(), Low: heatLow, PerDecade: perDecade}
	if back == 0 {
		h.XLabel = "time since the run's start (s)"
	}
	origin := m.Started
	if origin.IsZero() || log.Intervals[0].Start.Sub(origin).Abs() > time.Hour {
		origin = log.Intervals[0].Start
	}
	row := func(value int64) int {
		ms := float64(value) * log.Unit.Seconds() * 1e3
		return max(0, int(math.Floor(math.Log10(max(ms, heatLow)/heatLow)*perDecade)))
	}
	for _, i := range log.Intervals {
		h.Rows = max(h.Rows, row(i.Max())+1)
	}
	for _, i := range log.Intervals {
		at := int(math.Round(i.Start.Sub(origin).Seconds() / h.Step))
		if at < 0 || at > 10_000 {
			continue
		}
		for len(h.Columns) <= at {
			h.Columns = append(h.Columns, make([]byte, h.Rows))
		}
		counts := make([]int64, h.Rows)
		for _, b := range i.Bars {
			counts[row(b.To)] += b.Count
		}
		for r, n := range counts {
			if n > 0 {
				h.Columns[at][r] = byte(min(255, heatLevels*(1+math.Log2(float64(n)))))
			}
		}
	}
	return h
}
