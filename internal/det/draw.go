package det

import (
	"math"
	"math/rand/v2"
)

// The draws are by the ziggurat method (G. Marsaglia and W. W. Tsang, J. Stat. Software 5(8),
// 2000), with the tables of package math/rand/v2. They take the same numbers from the source as
// its ExpFloat64 and NormFloat64, and give the same variates but for one in some 10^9.

// ziggurat has the layers of a density: the width of each in units of the integers drawn, the
// integers below which a draw is inside the next layer as well, and the density at the edge.
type ziggurat[T [128]float32 | [256]float32, K [128]uint32 | [256]uint32] struct {
	width, density T
	inside         K
}

// Where the tails begin, and the area of a layer.
const (
	exponentialTail, exponentialArea = 7.69711747013104972, 3.949659822581572e-3
	normalTail, normalArea           = 3.442619855899, 9.91256303526217e-3
)

var exponential = func() (z ziggurat[[256]float32, [256]uint32]) {
	const units = 1 << 32
	x, last := exponentialTail, exponentialTail
	q := exponentialArea / Exp(-x)
	z.inside[0] = uint32(x / q * units)
	z.width[0], z.width[255] = float32(q/units), float32(x/units)
	z.density[0], z.density[255] = 1, float32(Exp(-x))
	for i := 254; i > 0; i-- {
		x = -Log(exponentialArea/x + Exp(-x))
		z.inside[i+1] = uint32(x / last * units)
		last = x
		z.width[i], z.density[i] = float32(x/units), float32(Exp(-x))
	}
	return z
}()

var normal = func() (z ziggurat[[128]float32, [128]uint32]) {
	const units = 1 << 31
	x, last := normalTail, normalTail
	q := normalArea / Exp(-0.5*x*x)
	z.inside[0] = uint32(x / q * units)
	z.width[0], z.width[127] = float32(q/units), float32(x/units)
	z.density[0], z.density[127] = 1, float32(Exp(-0.5*x*x))
	for i := 126; i > 0; i-- {
		x = math.Sqrt(-2 * Log(normalArea/x+Exp(-0.5*x*x)))
		z.inside[i+1] = uint32(x / last * units)
		last = x
		z.width[i], z.density[i] = float32(x/units), float32(Exp(-0.5*x*x))
	}
	return z
}()

// Exponential draws from the exponential distribution of mean 1.
func Exponential(rng *rand.Rand) float64 {
	for {
		u := rng.Uint64()
		j, i := uint32(u), uint8(u>>32)
		x := float64(float64(j) * float64(exponential.width[i]))
		switch {
		case j < exponential.inside[i]: // 98.9 % of the draws
			return x
		case i == 0:
			return exponentialTail - Log(rng.Float64())
		}
		f := &exponential.density
		if f[i]+float32(float32(rng.Float64())*(f[i-1]-f[i])) < float32(Exp(-x)) {
			return x
		}
	}
}

// Normal draws from the normal distribution of mean 0 and standard deviation 1.
func Normal(rng *rand.Rand) float64 {
	for {
		u := rng.Uint64()
		j, i := int32(u), u>>32&127
		x := float64(float64(j) * float64(normal.width[i]))
		size := uint32(j)
		if j < 0 {
			size = -size
		}
		if size < normal.inside[i] { // 99 % of the draws
			return x
		}
		if i == 0 {
			return math.Copysign(tail(rng), x)
		}
		f := &normal.density
		if f[i]+float32(float32(rng.Float64())*(f[i-1]-f[i])) < float32(Exp(-0.5*x*x)) {
			return x
		}
	}
}

// tail draws from the normal distribution beyond normalTail.
func tail(rng *rand.Rand) float64 {
	for {
		x := float64(-Log(rng.Float64()) * (1.0 / normalTail))
		y := -Log(rng.Float64())
		if y+y >= float64(x*x) {
			return normalTail + x
		}
	}
}
