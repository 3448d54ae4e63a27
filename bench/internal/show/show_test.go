package show

import (
	"math"
	"testing"
)

// Whole numbers are in groups of three digits, whatever their sign.
func TestGroups(t *testing.T) {
	for n, want := range map[int]string{0: "0", 7: "7", 999: "999", 1000: "1,000", 100_000: "100,000", 1_234_567: "1,234,567", -999: "-999", -1000: "-1,000", math.MinInt64: "-9,223,372,036,854,775,808"} {
		if got := Count(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
	if got := Count(uint64(math.MaxUint64)); got != "18,446,744,073,709,551,615" {
		t.Errorf("the largest count is %q", got)
	}
	big, none := 12345.6, math.NaN()
	for got, want := range map[string]string{
		Group(big): "12,346", Rate(big): "12,346", Rate(9.99): "9.99", Rate(999.6): "1,000", GroupOrDash(&big): "12,346", GroupOrDash(nil): "–", Group(none): "NaN", Group(math.Inf(-1)): "-Inf",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestWithUnit(t *testing.T) {
	for unit, want := range map[string]string{"s": "x (s)", "1": "x", "": "x", "% of capacity": "x (% of capacity)"} {
		if got := WithUnit("x", unit); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestSpark(t *testing.T) {
	for _, tt := range []struct {
		values []int
		most   int
		want   string
	}{
		{nil, 0, ""}, {[]int{0, 0}, 0, "▁▁"}, {[]int{0, 1, 100}, 0, "▁▂█"}, {[]int{0, 1, 50, 100, 300}, 100, "▁▂▅██"}, {[]int{7, 7}, 0, "██"},
	} {
		if got := Spark(tt.values, tt.most); got != tt.want {
			t.Errorf("%v of %d: %s, want %s", tt.values, tt.most, got, tt.want)
		}
	}
}
