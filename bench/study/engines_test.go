package study

import (
	"strings"
	"testing"

	"github.com/leasestorm/leasestorm/bench"
)

// A run beside itself differs in nothing.
func TestEnginePair(t *testing.T) {
	res := simulateStudy(t, surgeStudy(t, "queue=deadline"), bench.Options{Seed: 1})
	p := pairOf(res, res)
	if text := EnginesHead() + p.Text(); !p.Agree || p.GoodputOff != 0 || p.TTROff == nil || *p.TTROff != 0 || !strings.Contains(text, string(res.Verdict)) {
		t.Errorf("%+v\n%s", p, text)
	}
}
