package axis

import (
	"math"
	"testing"
)

func TestAt(t *testing.T) {
	for _, tt := range []struct {
		steps Steps
		i     float64
		want  float64
	}{
		{Steps{1, 3, 5, false}, 0, 1},
		{Steps{1, 3, 5, false}, 4, 3},
		{Steps{1, 3, 5, false}, 1, 1.5},
		{Steps{1, 3, 5, false}, -0.5, 0.75}, // the edge of a map
		{Steps{1, 100, 3, true}, 0, 1},
		{Steps{1, 100, 3, true}, 1, 10},
		{Steps{1, 100, 3, true}, 2, 100},
		{Steps{1, 100, 3, true}, 0.5, math.Sqrt(10)},
		{Steps{-2, 2, 2, false}, 0.5, 0},
	} {
		if got := tt.steps.At(tt.i); math.Abs(got-tt.want) > 1e-12*math.Abs(tt.want) {
			t.Errorf("%+v at %g: %v, want %v", tt.steps, tt.i, got, tt.want)
		}
	}
}
