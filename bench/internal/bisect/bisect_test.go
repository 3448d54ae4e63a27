package bisect

import (
	"errors"
	"testing"

	"pgregory.net/rapid"
)

// The edge of a monotone predicate lies between the two sides, and they are as close as asked.
func TestFindMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.IntRange(1, 1_000_000).Draw(t, "most")
		survived := rapid.IntRange(0, most-1).Draw(t, "survived")
		tol := Tolerance{Share: rapid.SampledFrom([]float64{0, 0.005, 0.3}).Draw(t, "share"), Within: rapid.SampledFrom([]float64{0, 1, 7}).Draw(t, "within")}
		asked := map[int]bool{}
		e, found, err := Find(most, tol, func(size int) (bool, error) {
			if asked[size] {
				t.Fatalf("size %d is asked about twice", size)
			}
			asked[size] = true
			return size > survived, nil
		})
		if err != nil || !found || e.Survived > survived || e.Lost <= survived {
			t.Fatalf("survived up to %d: %+v, %v, %v", survived, e, found, err)
		}
		if near := max(1, tol.Within, tol.Share*float64(e.Lost)); float64(e.Lost-e.Survived) > near {
			t.Fatalf("%+v is wider than %v", e, near)
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.Float64Range(1e-3, 1e6).Draw(t, "most")
		survived := most * rapid.Float64Range(0.001, 0.999).Draw(t, "survived")
		e, found, err := Find(most, Tolerance{Share: 0.01}, func(size float64) (bool, error) { return size > survived, nil })
		if err != nil || !found || e.Survived > survived || e.Lost <= survived || e.Lost-e.Survived > 0.01*e.Lost {
			t.Fatalf("survived up to %v: %+v, %v, %v", survived, e, found, err)
		}
	})
}

// If all sizes are survived there is no edge, and one question shows it. If all are lost the
// edge is at 0.
func TestFindConstant(t *testing.T) {
	n := 0
	if e, found, err := Find(100.0, Tolerance{Share: 0.01}, func(float64) (bool, error) { n++; return false, nil }); found || err != nil || n != 1 {
		t.Errorf("all survived: %+v, %v, %v after %d questions", e, found, err, n)
	}
	if e, found, err := Find(100, Tolerance{}, func(int) (bool, error) { return true, nil }); !found || err != nil || e != (Edge[int]{0, 1}) {
		t.Errorf("all lost: %+v, %v, %v", e, found, err)
	}
	if e, found, err := Find(100.0, Tolerance{Within: 1e-3}, func(float64) (bool, error) { return true, nil }); !found || err != nil || e.Survived != 0 || e.Lost > 1e-3 {
		t.Errorf("all lost: %+v, %v, %v", e, found, err)
	}
}

// However the answers fall, the search ends: even with no tolerance at all, where it goes on
// until no number lies between the sides.
func TestFindNoisy(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		answers := rapid.SliceOfN(rapid.Bool(), 1, 100).Draw(t, "answers")
		n := 0
		last := map[bool]float64{}
		answer := func(size float64) (bool, error) {
			gone := n == 0 || answers[n%len(answers)]
			n++
			last[gone] = size
			return gone, nil
		}
		if e, found, err := Find(1e6, Tolerance{}, answer); err != nil || !found || n > 1200 || e.Lost != last[true] || e.Survived != last[false] {
			t.Fatalf("%+v, %v, %v after %d questions; last answers %v", e, found, err, n, last)
		}
		n = 0
		if e, found, err := Find(1_000_000, Tolerance{}, func(size int) (bool, error) { return answer(float64(size)) }); err != nil || !found || n > 21 || e.Lost-e.Survived != 1 {
			t.Fatalf("%+v, %v, %v after %d questions", e, found, err, n)
		}
	})
}

func TestFindError(t *testing.T) {
	bad := errors.New("bad")
	for at := range 5 {
		n := 0
		_, found, err := Find(1000, Tolerance{}, func(int) (bool, error) {
			if n++; n > at {
				return false, bad
			}
			return true, nil
		})
		if found || !errors.Is(err, bad) || n != at+1 {
			t.Errorf("error at question %d: %v, %v after %d", at+1, found, err, n)
		}
	}
}
