// Package det has the functions of package math, and the draws of package math/rand/v2, that give
// the same bits on every architecture. Package math has assembly forms of its own on some of them,
// and a compiler may fuse x*y + z into one operation with one rounding, as Go does on arm64,
// riscv64, loong64, ppc64, s390x, and on amd64 with GOAMD64=v3. An explicit conversion of the
// product rules that out (Go specification, floating-point operators).
//
// All that a virtual run computes is computed by these functions and by the functions of package
// math that are exact: Sqrt, Floor, Ceil, Trunc, Round, Abs, Frexp, Ldexp, Mod, and the like. A
// test holds the packages to it.
//
// The forms are those of FDLIBM 5.3 (Sun Microsystems, 1993), as package math has them:
//
//	Copyright (C) 1993 by Sun Microsystems, Inc. All rights reserved.
//	Developed at SunPro, a Sun Microsystems, Inc. business.
//	Permission to use, copy, modify, and distribute this software is freely granted,
//	provided that this notice is preserved.
package det

import "math"

// ln2Hi + ln2Lo is ln 2. The trailing bits of ln2Hi are 0, so that its product with an exponent is
// exact.
const (
	ln2Hi = 6.93147180369123816490e-01
	ln2Lo = 1.90821492927058770002e-10
	log2e = 1.44269504088896338700e+00
)

// Exp returns e to the power of x (e_exp.c). The error is below 1 ulp.
func Exp(x float64) float64 {
	const (
		overflow  = 7.09782712893383973096e+02
		underflow = -7.45133219101941108420e+02
		nearZero  = 1.0 / (1 << 28)

		p1 = 1.66666666666666657415e-01
		p2 = -2.77777777770155933842e-03
		p3 = 6.61375632143793436117e-05
		p4 = -1.65339022054652515390e-06
		p5 = 4.13813679705723846039e-08
	)
	switch {
	case math.IsNaN(x):
		return math.NaN()
	case x > overflow:
		return math.Inf(1)
	case x < underflow:
		return 0
	case -nearZero < x && x < nearZero:
		return 1 + x
	}
	k := int(float64(log2e*x) + math.Copysign(0.5, x))
	hi := x - float64(float64(k)*ln2Hi)
	lo := float64(float64(k) * ln2Lo)
	r := hi - lo
	t := float64(r * r)
	p := p4 + float64(t*p5)
	p = p3 + float64(t*p)
	p = p2 + float64(t*p)
	p = p1 + float64(t*p)
	c := r - float64(t*p)
	y := 1 - ((lo - float64(r*c)/(2-c)) - hi)
	if k > -1022 && k < 1023 { // Ldexp is for the others, and takes longer
		return math.Float64frombits(math.Float64bits(y) + uint64(k)<<52)
	}
	return math.Ldexp(y, k)
}

// Expm1 returns e to the power of x, less 1, and is accurate near 0 (s_expm1.c).
func Expm1(x float64) float64 {
	const (
		overflow = 7.09782712893383973096e+02
		ln2X56   = 3.88162421113569373274e+01
		ln2Half3 = 1.03972077083991796413e+00
		ln2Half  = 3.46573590279972654709e-01
		tiny     = 1.0 / (1 << 54)

		q1 = -3.33333333333331316428e-02
		q2 = 1.58730158725481460165e-03
		q3 = -7.93650757867487942473e-05
		q4 = 4.00821782732936239552e-06
		q5 = -2.01099218183624371326e-07
	)
	abs := math.Abs(x)
	switch {
	case math.IsNaN(x):
		return math.NaN()
	case x > overflow:
		return math.Inf(1)
	case x <= -ln2X56:
		return -1
	case abs < tiny:
		return x
	}
	k, c := 0, 0.0
	if abs > ln2Half {
		k = int(float64(log2e*x) + math.Copysign(0.5, x))
		if abs < ln2Half3 {
			k = int(math.Copysign(1, x))
		}
		hi := x - float64(float64(k)*ln2Hi)
		lo := float64(float64(k) * ln2Lo)
		x = hi - lo
		c = (hi - x) - lo
	}
	half := float64(0.5 * x)
	z := float64(x * half)
	r := q4 + float64(z*q5)
	r = q3 + float64(z*r)
	r = q2 + float64(z*r)
	r = q1 + float64(z*r)
	r = 1 + float64(z*r)
	t := 3 - float64(r*half)
	e := float64(z * ((r - t) / (6 - float64(x*t))))
	if k == 0 {
		return x - (float64(x*e) - z)
	}
	e = float64(x*(e-c)) - c
	e -= z
	switch {
	case k == -1:
		return float64(0.5*(x-e)) - 0.5
	case k == 1 && x < -0.25:
		return -2 * (e - (x + 0.5))
	case k == 1:
		return 1 + float64(2*(x-e))
	case k <= -2 || k > 56:
		return math.Ldexp(1-(e-x), k) - 1
	case k < 20:
		return math.Ldexp((1-math.Ldexp(1, -k))-(e-x), k)
	}
	return math.Ldexp((x-(e+math.Ldexp(1, -k)))+1, k)
}

// Log returns the natural logarithm of x (e_log.c). The error is below 1 ulp.
func Log(x float64) float64 {
	const (
		l1 = 6.666666666666735130e-01
		l2 = 3.999999999940941908e-01
		l3 = 2.857142874366239149e-01
		l4 = 2.222219843214978396e-01
		l5 = 1.818357216161805012e-01
		l6 = 1.531383769920937332e-01
		l7 = 1.479819860511658591e-01
	)
	switch {
	case math.IsNaN(x) || x < 0:
		return math.NaN()
	case x == 0:
		return math.Inf(-1)
	case math.IsInf(x, 1):
		return x
	}
	f, exponent := math.Frexp(x)
	if f < math.Sqrt2/2 {
		f = float64(f * 2)
		exponent--
	}
	f--
	k := float64(exponent)
	s := f / (2 + f)
	z := float64(s * s)
	w := float64(z * z)
	odd := l5 + float64(w*l7)
	odd = l3 + float64(w*odd)
	odd = l1 + float64(w*odd)
	even := l4 + float64(w*l6)
	even = l2 + float64(w*even)
	r := float64(z*odd) + float64(w*even)
	half := float64(0.5 * f * f)
	return float64(k*ln2Hi) - ((half - (float64(s*(half+r)) + float64(k*ln2Lo))) - f)
}

// Pow returns x to the power of y, for x ≥ 0, with whole powers by repeated squaring (package
// math's form): at y = 1 it is x.
func Pow(x, y float64) float64 {
	switch {
	case y == 0 || x == 1:
		return 1
	case math.IsNaN(x) || math.IsNaN(y) || x < 0:
		return math.NaN()
	case x == 0 || math.IsInf(x, 1) || math.IsInf(y, 0):
		if (x > 1) == (y > 0) {
			return math.Inf(1)
		}
		return 0
	case y == 0.5:
		return math.Sqrt(x)
	case y == -0.5:
		return 1 / math.Sqrt(x)
	}
	whole, part := math.Modf(math.Abs(y))
	if whole >= 1<<60 {
		return Pow(x, math.Copysign(math.Inf(1), y))
	}
	z, exponent := 1.0, 0
	if part != 0 {
		if part > 0.5 {
			part--
			whole++
		}
		z = Exp(float64(part * Log(x)))
	}
	square, at := math.Frexp(x)
	for i := int64(whole); i != 0; i >>= 1 {
		if at < -1<<12 || at > 1<<12 { // out of range from here on
			exponent += at
			break
		}
		if i&1 == 1 {
			z = float64(z * square)
			exponent += at
		}
		square = float64(square * square)
		at <<= 1
		if square < 0.5 {
			square *= 2
			at--
		}
	}
	if y < 0 {
		z, exponent = 1/z, -exponent
	}
	return math.Ldexp(z, exponent)
}

// Sin returns the sine of x for |x| ≤ π/4, and NaN elsewhere (k_sin.c).
func Sin(x float64) float64 {
	const (
		s1 = -1.66666666666666324348e-01
		s2 = 8.33333333332248946124e-03
		s3 = -1.98412698298579493134e-04
		s4 = 2.75573137070700676789e-06
		s5 = -2.50507602534068634195e-08
		s6 = 1.58969099521155010221e-10
	)
	if !(math.Abs(x) <= math.Pi/4) {
		return math.NaN()
	}
	z := float64(x * x)
	r := s5 + float64(z*s6)
	r = s4 + float64(z*r)
	r = s3 + float64(z*r)
	r = s2 + float64(z*r)
	r = s1 + float64(z*r)
	return x + float64(float64(z*x)*r)
}
