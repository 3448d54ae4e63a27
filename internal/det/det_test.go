package det

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"testing"
)

// arguments are evenly spread from low to high.
const arguments = 40_000

// The functions, with package math's, the largest error beside it in units of the last place, and
// a hash of the results' bits, which is the same on every architecture.
var functions = []struct {
	name      string
	f, math   func(x float64) float64
	low, high float64
	ulps      float64
	want      string
}{
	{"Exp", Exp, math.Exp, -2, 2, 2, "8e5156"},
	{"Exp, wide", Exp, math.Exp, -745, 709, 2, "44d156"},
	{"Expm1", Expm1, math.Expm1, -2, 2, 2, "2a99a7"},
	{"Expm1, wide", Expm1, math.Expm1, -60, 709, 2, "83c289"},
	{"Log", Log, math.Log, 1e-6, 4, 2, "865ee6"},
	{"Log, wide", Log, math.Log, 1e-300, 1e300, 2, "1765a0"},
	{"Pow of 10", func(x float64) float64 { return Pow(10, x) }, func(x float64) float64 { return math.Pow(10, x) }, -8, 8, 10, "e15391"},
	{"Pow of a root", func(x float64) float64 { return Pow(x, 1./3) }, func(x float64) float64 { return math.Pow(x, 1./3) }, 1e-3, 1e6, 10, "332b86"},
	{"Pow, wide", func(x float64) float64 { return Pow(x, 77.7) }, func(x float64) float64 { return math.Pow(x, 77.7) }, 1e-3, 9000, 64, "016981"},
	{"Sin", Sin, math.Sin, -math.Pi / 4, math.Pi / 4, 2, "bc7da7"},
	{"Erfc", Erfc, math.Erfc, -6, 6, 4, "52e8f7"},
	{"Erfc, wide", Erfc, math.Erfc, 6, 26, 4, "4af567"},
}

// TestFunctions holds the functions to package math's, and to the bits that they have elsewhere.
func TestFunctions(t *testing.T) {
	for _, f := range functions {
		sum, worst, at := sha256.New(), 0.0, 0.0
		for i := range arguments {
			x := f.low + float64((f.high-f.low)*float64(i)/(arguments-1))
			y, want := f.f(x), f.math(x)
			if off := math.Abs(y-want) / ulp(want); !(off <= worst) && y != want {
				worst, at = off, x
			}
			_ = binary.Write(sum, binary.LittleEndian, y)
		}
		if !(worst <= f.ulps) && runtime.GOARCH != "s390x" { // whose own erfc is off by 127
			t.Errorf("%s(%v) is %v ulp from math's: want at most %v", f.name, at, worst, f.ulps)
		}
		if got := fmt.Sprintf("%x", sum.Sum(nil))[:6]; got != f.want {
			t.Errorf("%s: the bits' hash is %s on this architecture, want %s", f.name, got, f.want)
		}
	}
}

// ulp is the unit in the last place of x.
func ulp(x float64) float64 { return math.Nextafter(math.Abs(x), math.Inf(1)) - math.Abs(x) }

func TestSpecialValues(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	for _, f := range functions {
		for _, x := range []float64{0, inf, -inf, nan, math.MaxFloat64, -math.MaxFloat64, 1e-300, 1, -1, 0.7, 709, 710, -746} {
			if f.name == "Sin" && math.Abs(x) > 0.75 || f.name == "Pow of a root" && math.Signbit(x) || f.name == "Pow, wide" && math.Signbit(x) {
				continue // not of its range
			}
			y, want := f.f(x), f.math(x)
			if y != want && !(math.IsNaN(y) && math.IsNaN(want)) && !(math.Abs(y-want) <= f.ulps*ulp(want)) {
				t.Errorf("%s(%v) = %v, math has %v", f.name, x, y, want)
			}
		}
	}
	for _, x := range []float64{0, 0.5, 1, 2, 10, inf, nan} {
		for _, y := range []float64{0, 0.25, 0.5, -0.5, 1, -1, 3, 1e6, -1e6, 1e300, inf, -inf, nan} {
			if got, want := Pow(x, y), math.Pow(x, y); got != want && !(math.IsNaN(got) && math.IsNaN(want)) && !(math.Abs(got-want) <= 2*ulp(want)) {
				t.Errorf("Pow(%v, %v) = %v, math has %v", x, y, got, want)
			}
		}
	}
}

// TestDraws holds the draws to the bits that they have elsewhere, and to the source's numbers that
// math/rand/v2 takes.
func TestDraws(t *testing.T) {
	for _, d := range []struct {
		name          string
		draw          func(*rand.Rand) float64
		rand          func(*rand.Rand) float64
		mean, squares float64
		want          string
	}{
		{"exponential", Exponential, (*rand.Rand).ExpFloat64, 1, 2, "28e61c"},
		{"normal", Normal, (*rand.Rand).NormFloat64, 0, 1, "9a7386"},
	} {
		const n = 200_000
		sum, mean, squares, same := sha256.New(), 0.0, 0.0, 0
		ours, theirs := rand.New(rand.NewPCG(1, 2)), rand.New(rand.NewPCG(1, 2))
		for range n {
			x := d.draw(ours)
			if math.Abs(x-d.rand(theirs)) < 1e-14 {
				same++
			}
			mean += x / n
			squares += float64(x * x / n)
			_ = binary.Write(sum, binary.LittleEndian, x)
		}
		if math.Abs(mean-d.mean) > 0.01 || math.Abs(squares-d.squares) > 0.05 {
			t.Errorf("%s: the mean is %v and the mean square %v, want %v and %v", d.name, mean, squares, d.mean, d.squares)
		}
		if same < n*9/10 && d.name == "exponential" { // math/rand's normal draws differ from one architecture to another
			t.Errorf("%s: %d of %d draws are math/rand's", d.name, same, n)
		}
		if got := fmt.Sprintf("%x", sum.Sum(nil))[:6]; got != d.want {
			t.Errorf("%s: the bits' hash is %s on this architecture, want %s", d.name, got, d.want)
		}
	}
}

// BenchmarkDraws is beside math/rand and math.
func BenchmarkDraws(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, d := range []struct {
		name string
		draw func(*rand.Rand) float64
	}{
		{"exponential/det", Exponential},
		{"exponential/rand", (*rand.Rand).ExpFloat64},
		{"lognormal/det", func(rng *rand.Rand) float64 { return Exp(Normal(rng)) }},
		{"lognormal/rand", func(rng *rand.Rand) float64 { return math.Exp(rng.NormFloat64()) }},
	} {
		b.Run(d.name, func(b *testing.B) {
			for b.Loop() {
				d.draw(rng)
			}
		})
	}
}
