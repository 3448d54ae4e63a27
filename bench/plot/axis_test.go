package plot

import (
	"math"
	"testing"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/recorder"
)

// Every logarithmic axis has two numbers at least, and no more than can be read.
func TestDecades(t *testing.T) {
	for low := 1e-9; low < 1e12; low *= 1.37 {
		for _, ratio := range []float64{1.001, 1.1, 1.5, 2, 3, 6, 10, 11, 50, 100, 1e4, 1e9} {
			n := 0
			high := low * ratio
			for _, tick := range (Decades{}).Ticks(low, high) {
				if tick.Label != "" && tick.Value >= low*(1-1e-9) && tick.Value <= high*(1+1e-9) {
					n++
				}
			}
			if n < 2 || n > 12 {
				t.Errorf("%d numbers from %g to %g", n, low, high)
			}
		}
	}
	for _, ends := range [][2]float64{{0, 1}, {-1, 1}, {1, math.Inf(1)}, {math.NaN(), 1}, {2, 2}} {
		if n := len((Decades{}).Ticks(ends[0], ends[1])); n > 1 {
			t.Errorf("%d ticks from %g to %g", n, ends[0], ends[1])
		}
	}
}

// What the font lacks is drawn as a question mark, and is as wide.
func TestLetters(t *testing.T) {
	for txt, want := range map[string]string{"β* of λ ≈ 2, é": "β* of λ ≈ 2, é", "storm 日本": "storm ??", "\U0001f4a5": "?", "10² – “x”": "10² – “x”"} {
		s := style(labelSize)
		var c recorder.Canvas
		s.Handler.Draw(&c, txt, s, vg.Point{})
		if got := s.Handler.Lines(handler.known(txt, s.Font))[0]; got != want {
			t.Errorf("%q is drawn as %q; want %q", txt, got, want)
		}
		drawn := ""
		for _, a := range c.Actions {
			if f, ok := a.(*recorder.FillString); ok {
				drawn += f.String
			}
		}
		if w, _, _ := s.Handler.Box(txt, s.Font); drawn != want || w != s.Width(want) {
			t.Errorf("%q is drawn as %q, %v wide; want %q", txt, drawn, w, want)
		}
	}
}

// The numbers of axes have their thousands in groups; powers of ten stand where groups would be too
// long.
func TestAxisNumbers(t *testing.T) {
	for x, want := range map[float64]string{
		0: "0", 0.25: "0.25", -3: "−3", 999: "999", 1000: "1,000", 10_000: "10,000", -100_000: "−100,000", 2_500_000: "2,500,000",
		1e7: "10⁷", 2.5e8: "2.5·10⁸", 1e12: "10¹²", 1234.5: "1234.5",
	} {
		if got := short(x); got != want {
			t.Errorf("%g is written %q; want %q", x, got, want)
		}
		s := style(tickSize)
		if known := handler.known(want, s.Font); known != want {
			t.Errorf("the font writes %q as %q", want, known)
		}
	}
}
