package scenario

import (
	"errors"
	"math"
	"strings"
	"testing"
)

// An axis of a part's parameter writes it into the part that has it, also within a composition.
func TestAxisOfPart(t *testing.T) {
	for _, tt := range []struct {
		axis, set string
		x         float64
		want      string // what comes out, or a part of the error
	}{
		{"queue.exponent", "queue=codel", 0.75, "codel:exponent=0.75"},
		{"queue.exponent", "queue=coalesce+codel:target=7ms", 1, "coalesce+codel:target=7ms,exponent=1"},
		{"queue.interval", "queue=fair+codel", 0.25, "fair+codel:interval=250ms"},
		{"queue.parts", "queue=percore+fifo", 3, "percore:parts=3+fifo"},
		{"admit.limit", "admit=limit", 50, "limit:limit=50"},
		{"admit.limit", "admit=limit+drain", 50, "limit:limit=50+drain"},
		{"admit.jitter", "admit=token-bucket:rate=1e+2+constant", 0.5, "token-bucket:rate=1e+2+constant:jitter=0.5"},
		{"queue.limit", "queue=bounded", 1e6, "bounded:limit=1000000"},
		{"retry.wait", "retry=fixed", 0.5, "fixed:wait=0.5"},
		{"queue.exponent", "queue=fifo", 0.75, "fifo has no parameter exponent"},
		{"queue.exponent", "queue=codel:exponent=1", 0.75, "so does the axis"},
		{"queue.exponent", "queue=codel", 11, "out of range: 0.01 to 10"},
		{"queue.exponent", "queue=codel", math.NaN(), "out of range"},
		{"queue.interval", "queue=codel", 1e300, "out of range: 1µs to 1h0m0s"},
	} {
		s, err := Load("surge")
		if err == nil {
			err = s.Set(tt.set)
		}
		if err != nil {
			t.Fatal(err)
		}
		a, err := FindAxis(tt.axis)
		if err != nil {
			t.Fatal(err)
		}
		err = a.Set(&s, tt.x)
		key, _, _ := strings.Cut(tt.axis, ".")
		if got := map[string]string{"queue": s.Queue, "admit": s.Admit, "retry": s.Retry}[key]; err == nil && (got != tt.want || s.Validate() != nil) {
			t.Errorf("%s=%g on %s: %q, %v, want %q", tt.axis, tt.x, tt.set, got, s.Validate(), tt.want)
		} else if err != nil && (!errors.Is(err, ErrScenario) || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s=%g on %s: %v, want %q", tt.axis, tt.x, tt.set, err, tt.want)
		}
	}
	for _, text := range []string{"queue.nosuch=0:1:3", "table.x=0:1:3", "queue.=0:1:3", ".exponent=0:1:3"} {
		if _, err := ParseRange(text); err == nil || !strings.Contains(err.Error(), "queue.PARAMETER") {
			t.Errorf("%s: %v", text, err)
		}
	}
	r, err := ParseRange("queue.interval=0.01:1:3:log")
	if err != nil || r.Unit != "s" || !r.OfPart() {
		t.Errorf("%+v, %v", r, err)
	}
}
