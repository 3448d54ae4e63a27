package plot

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// grid is a field of collapse probabilities, the uppermost row last: s is safe, L is lost, v is in
// between, and a dot is no scenario.
func grid(rows ...string) field {
	f := field{x: mapAxis{N: len(rows[0]), Low: 0, High: float64(len(rows[0]) - 1)}, y: mapAxis{N: len(rows), Low: 0, High: float64(len(rows) - 1)}}
	for _, row := range rows {
		for _, c := range row {
			f.z = append(f.z, map[rune]float64{'s': 0, 'L': 1, 'v': 0.4, '.': math.NaN()}[c])
		}
	}
	return f
}

// A map's border lies between the last place that is safe and the first that is lost, at each step
// that tips over once.
func TestBorderBand(t *testing.T) {
	for name, tt := range map[string]struct {
		p       field
		rows    []band
		columns []band
	}{
		"a staircase": {
			grid("sLLL", "sLLL", "ssLL", "ssvL"),
			[]band{{true, []int{0, 1, 2, 3}, []float64{0, 0, 1, 1}, []float64{1, 1, 2, 3}}},
			[]band{{false, []int{1}, []float64{1}, []float64{2}}},
		},
		"lost on the left": {grid("LLs", "LLs"), []band{{true, []int{0, 1}, []float64{1, 1}, []float64{2, 2}}}, nil},
		"level":            {grid("LLL", "vvL", "sss"), nil, []band{{false, []int{0, 1, 2}, []float64{0, 0, 1}, []float64{2, 2, 2}}}},
		"over a gap":       {grid("s.L", "s.L"), []band{{true, []int{0, 1}, []float64{0, 0}, []float64{2, 2}}}, nil},
		"an island":        {grid("sssss", "ssLss", "sssss"), nil, nil},
		"two borders": {
			grid("sL", "LL", "Ls"),
			[]band{{true, []int{0}, []float64{0}, []float64{1}}, {true, []int{2}, []float64{0}, []float64{1}}},
			[]band{{false, []int{0}, []float64{0}, []float64{1}}, {false, []int{1}, []float64{1}, []float64{2}}},
		},
		"nothing to tell of":  {grid("sss", "sss"), nil, nil},
		"nothing but between": {grid("vvv", "v.v"), nil, nil},
	} {
		if got := bands(tt.p, true); !reflect.DeepEqual(got, tt.rows) {
			t.Errorf("%s: rows %+v, want %+v", name, got, tt.rows)
		}
		if got := bands(tt.p, false); !reflect.DeepEqual(got, tt.columns) {
			t.Errorf("%s: columns %+v, want %+v", name, got, tt.columns)
		}
	}
	// The way with more steps has the line; both ways are shaded.
	all, longer := border(grid("sLLL", "sLLL", "ssLL", "ssvL"))
	want := band{false, []int{1}, []float64{1}, []float64{2}}
	if len(longer) != 1 || !longer[0].rows || len(all) != 2 || !reflect.DeepEqual(all[1], want) {
		t.Errorf("%+v, of which %+v", all, longer)
	}
}

// The line is within its band at each step, and is smoother than the band's middles.
func TestBorderMiddle(t *testing.T) {
	l := band{rows: true}
	for i := range 40 {
		l.at, l.a, l.b = append(l.at, i), append(l.a, float64(i/5)), append(l.b, float64(i/5+1))
	}
	middle, steepest := l.middle(), 0.0
	for i, m := range middle {
		if m < l.a[i] || m > l.b[i] {
			t.Errorf("step %d: %g is outside %g to %g", i, m, l.a[i], l.b[i])
		}
		if i > 0 {
			steepest = max(steepest, math.Abs(m-middle[i-1]))
		}
	}
	if steepest > 0.35 {
		t.Errorf("a step of %g cells: the middles have steps of 1", steepest)
	}
}

// A time to recover between runs lies on the line between them, in rows, in columns, and inside
// a cell of four; a lost point is no neighbour.
func TestInterpolated(t *testing.T) {
	n := math.NaN()
	f := field{x: mapAxis{N: 5}, y: mapAxis{N: 5}, z: slices.Repeat([]float64{n}, 25)}
	old := map[int]float64{}
	for i := range f.z {
		if x, y := i%5, i/5; x%4 == 0 && y%4 == 0 {
			f.z[i] = float64(x) + 10*float64(y)
		} else {
			old[i] = -1
		}
	}
	f.interpolate(old)
	for i, z := range f.z {
		if want := float64(i%5) + 10*float64(i/5); math.Abs(z-want) > 1e-9 {
			t.Errorf("place %d, %d: %g, want %g", i%5, i/5, z, want)
		}
	}
	f = field{x: mapAxis{N: 3}, y: mapAxis{N: 1}, z: []float64{2, n, n}}
	f.interpolate(map[int]float64{1: 7})
	if f.z[1] != 7 || !math.IsNaN(f.z[2]) {
		t.Errorf("beside one neighbour: %v; want the file's value", f.z)
	}
}

// mapText is a map of two contestants over β and ρ, with one border at β = 2.
func mapText(points, more string) string {
	return `{"schema":1,"title":"surge: 100000 leases","seeds":5,"contestants":["fifo","slack"],"x":{"axis":"beta","unit":"timeouts","low":1,"high":4,"n":4},
		"y":{"axis":"rho","unit":"of capacity","low":0.1,"high":0.2,"n":2},"points":[` + points + `]` + more + `}`
}

// The fluid law's line is at its β*, and ends where there is none on the map. A file that is older
// than the line says so.
func TestFluidLine(t *testing.T) {
	var points []string
	for c := range 2 {
		for y := range 2 {
			for x := range 4 {
				points = append(points, fmt.Sprintf(`{"contestant":%d,"x":%d,"y":%d,"beta":%d,"law":2,"runs":5,"lost":%d,"ttr_s":%d}`, c, x, y, x+1, 5*(x/2)*(1-c), x+1))
			}
		}
	}
	read := func(more string) (f mapFile) {
		if err := json.Unmarshal([]byte(mapText(strings.Join(points, ","), more)), &f); err != nil {
			t.Fatal(err)
		}
		return f
	}
	legend := func(f mapFile) string {
		s := ""
		for _, m := range f.marks(true, false) {
			s += m.text + "; "
		}
		return s
	}
	f := read(`,"fluid_law":[{"law":true,"law_beta":[2.25,99]},{"law":false,"law_beta":[null,null]}]`)
	xs, ys := f.fluidLine(0)
	if len(xs) != 2 || math.Abs(xs[0]-2.25) > 1e-9 || !math.IsNaN(xs[1]) || ys[0] != 0.1 {
		t.Errorf("the line is at %v, %v", xs, ys)
	}
	if got := legend(f); !strings.Contains(got, "fluid law of the contestant") || !strings.Contains(got, "batch law") || !strings.Contains(got, "0 of 5") {
		t.Errorf("legend: %s", got)
	}
	if f.panelTitle(0) != "fifo" || f.panelTitle(1) != "slack (not covered by the fluid law)" {
		t.Errorf("titles %q, %q", f.panelTitle(0), f.panelTitle(1))
	}
	f = read("")
	if xs, _ := f.fluidLine(0); xs != nil || !strings.Contains(legend(f), "older") {
		t.Errorf("of an old file: %v, %s", xs, legend(f))
	}
	if got := grouped(f.Title); got != "surge: 100,000 leases" {
		t.Errorf("the old title is %q", got)
	}
	// The place on an axis of broken leases is found by the points' β.
	f = read(`,"fluid_law":[{"law":true,"law_beta":[2.25,2.5]}]`)
	f.X.Axis, f.X.Low, f.X.High = "broken", 1000, 4000
	if xs, _ := f.fluidLine(0); math.Abs(xs[0]-2250) > 1e-6 || math.Abs(xs[1]-2500) > 1e-6 {
		t.Errorf("broken leases: %v", xs)
	}
}

// Times to recover are shaded over the whole of what there is; decades are even.
func TestRamp(t *testing.T) {
	r, ok := newRamp([]float64{math.NaN(), 0.1}, []float64{10})
	if !ok || !r.log || r.place(0.1) != 0 || r.place(10) != 1 || math.Abs(r.place(1)-0.5) > 1e-9 {
		t.Errorf("%+v: 1 s is at %g", r, r.place(1))
	}
	if r, ok = newRamp([]float64{0, 4}); !ok || r.log || r.place(1) != 0.25 {
		t.Errorf("%+v", r)
	}
	if r, ok = newRamp([]float64{3, 3}); !ok || r.place(3) != 0 {
		t.Errorf("%+v", r)
	}
	if _, ok = newRamp([]float64{math.NaN()}); ok {
		t.Error("a ramp of nothing")
	}
}
