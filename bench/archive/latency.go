package archive

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/leasestorm/leasestorm/bench/internal/files"
)

// Latencies returns the latency in ms by percentile p, for one class and phase, with one line per
// contestant, for the contestant's first run. Latencies count from birth in a line and from the offer
// in its thin line. X is the number of nines, log10(1/(1−p)). A contestant of which nothing was served
// has no line.
func Latencies(cells []Cell, class, phase string) (f Lines, err error) {
	for _, g := range Contestants(cells) {
		var lines [2]Line
		for i, clock := range []string{"intended", "actual"} {
			path := filepath.Join(g.Cells[0].Folder, fmt.Sprintf("%s-%s-%s.hgrm", class, phase, clock))
			if err := readPercentiles(path, &lines[i]); err != nil {
				return f, err
			}
		}
		if len(lines[0].X) == 0 || len(lines[1].X) == 0 {
			continue
		}
		f.Names = append(f.Names, g.Name)
		f.Lines, f.Thin = append(f.Lines, lines[0]), append(f.Thin, lines[1])
	}
	return f, nil
}

// MostNines is where the percentiles end: 99.999 %.
const MostNines = 5

// readPercentiles reads a .hgrm file. A missing file counts as empty.
func readPercentiles(path string, l *Line) error {
	text, err := files.Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for line := 1; lines.Scan(); line++ {
		fields := strings.Fields(lines.Text())
		if len(fields) < 3 || fields[0] == "Value" || strings.HasPrefix(fields[0], "#") {
			continue
		}
		ms, err1 := strconv.ParseFloat(fields[0], 64)
		p, err2 := strconv.ParseFloat(fields[1], 64)
		if err1 != nil || err2 != nil || !(p >= 0 && p <= 1) || !(ms >= 0) {
			return fmt.Errorf("%s:%d: not a percentile and its value", path, line)
		}
		x := -math.Log10(1 - p)
		if p == 1 { // the maximum of n values is drawn at p = 1 − 1/n
			n, err := strconv.ParseFloat(fields[2], 64)
			if err != nil {
				return fmt.Errorf("%s:%d: not a number of values", path, line)
			}
			x = math.Log10(n)
			if len(l.X) > 0 { // of few values, the line before may already stand further out
				x = max(x, l.X[len(l.X)-1])
			}
		}
		if x = min(x, MostNines); len(l.X) > 0 && l.X[len(l.X)-1] == MostNines {
			break
		}
		l.X, l.Y = append(l.X, x), append(l.Y, max(ms, 1e-3)) // the axis is logarithmic
	}
	return lines.Err()
}
