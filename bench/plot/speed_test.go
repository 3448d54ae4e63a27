package plot

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/leasestorm/leasestorm/bench/archive"
)

// speedRows are measurements of contestants that follow a law exactly.
func speedRows(l archive.SpeedLaw, counts []int, contestants ...string) (rows []archive.SpeedRow) {
	for _, name := range contestants {
		for _, n := range counts {
			x := l.At(float64(n))
			rows = append(rows, archive.SpeedRow{Work: "renew", Contestant: name, Goroutines: n, Pinned: true, PerSecond: x, Low: 0.9 * x, High: 1.1 * x})
		}
	}
	return rows
}

// A figure of speed has the measured points with their extremes, and the fitted law between them,
// with its limit in words. A contestant without a fit has points alone.
func TestSpeedFigure(t *testing.T) {
	law := archive.SpeedLaw{Work: "renew", Contestant: "lockfree", Pinned: true, Lambda: 1e7, Sigma: 0.1, Kappa: 0.01, Peak: math.Sqrt(90)}
	rows := speedRows(law, []int{1, 2, 4, 8, 16}, "lockfree", "mutex")
	rows = append(rows, archive.SpeedRow{Work: "renew", Contestant: "lockfree", Goroutines: 32})
	all, err := NewSpeed(rows, []archive.SpeedLaw{law}, "")
	if err != nil || len(all) != 1 {
		t.Fatalf("%d figures, %v", len(all), err)
	}
	c := all[0]
	if want := []string{"lockfree: peak at 9 goroutines, 36 million/s", "mutex: no fit"}; !slices.Equal(c.Names, want) {
		t.Errorf("names %q, want %q", c.Names, want)
	}
	if d := c.Dots[1]; !slices.Equal(d.X, []float64{1, 2, 4, 8, 16}) || d.Y[0] != 10 || d.Low[0] != 9 || d.High[0] != 11 {
		t.Errorf("points %+v", d)
	}
	if l := c.Lines[0]; len(l.X) < 50 || l.X[0] != 1 || l.X[len(l.X)-1] != 16 || math.Abs(l.Y[len(l.Y)-1]-16e7/4.9/1e6) > 1e-9 || len(c.Lines[1].X) != 0 {
		t.Errorf("the law's line is from %v, %v", l.X[0], l.Y)
	}
}

func TestSpeedLimits(t *testing.T) {
	for want, l := range map[string]archive.SpeedLaw{
		"peak expected at 40 goroutines, not measured": {Lambda: 1e6, Sigma: 0.1, Kappa: 0.01, Peak: 40},
		"at most 10 million/s":                         {Lambda: 1e6, Sigma: 0.1},
		"no limit seen":                                {Lambda: 1e6, Sigma: -0.01},
		"no gain from a second goroutine":              {Lambda: 1e6, Sigma: 0.1, Kappa: 5, Peak: 0.4},
	} {
		if got := limits(&l, 16); got != want {
			t.Errorf("%+v: %q, want %q", l, got, want)
		}
	}
}

// Of fewer than four numbers of goroutines there is a table alone, and a reason. Of many contestants
// there are several figures, each with as many lines as there are colours.
func TestSpeedFiguresOrNone(t *testing.T) {
	law := archive.SpeedLaw{Lambda: 1e7}
	if _, err := NewSpeed(speedRows(law, []int{1, 2, 3}, "a"), nil, ""); !errors.Is(err, ErrFewCounts) || !strings.Contains(err.Error(), "there are 3 (1 2 3)") {
		t.Errorf("three counts: %v", err)
	}
	var names []string
	for i := range 9 {
		names = append(names, fmt.Sprintf("contestant-%d", i))
	}
	all, err := NewSpeed(speedRows(law, []int{1, 2, 3, 4}, names...), nil, "")
	if err != nil || len(all) != 2 || len(all[0].Names) != 7 || len(all[1].Names) != 2 || len(all[1].Dots[1].X) != 4 {
		t.Fatalf("%d figures, %v", len(all), err)
	}
	var rows []string
	for _, r := range speedRows(law, []int{1, 2, 3, 4}, names...) {
		rows = append(rows, fmt.Sprintf(`{"work":"renew","contestant":%q,"goroutines":%d,"pinned":true,"per_second":%g,"low":%g,"high":%g}`, r.Contestant, r.Goroutines, r.PerSecond, r.Low, r.High))
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, archive.SpeedFile), []byte(`{"schema":1,"rows":[`+strings.Join(rows, ",")+`],"laws":[{"work":"renew","contestant":"contestant-1","pinned":true,"lambda_per_second":1e7}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if made, err := Draw(t.Context(), dir); err != nil || !slices.Equal(made, []string{"speed-renew", "speed-renew-2"}) {
		t.Errorf("drew %v, %v", made, err)
	}
}
