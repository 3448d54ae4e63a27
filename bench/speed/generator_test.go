package speed

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/leasestorm/leasestorm/bench/record"
)

// What is due is issued, whatever the host does to the generator's punctuality.
func TestGenerate(t *testing.T) {
	g, err := Generate(t.Context(), GeneratorOptions{Droplets: 1000, Rate: 1e5, Length: 20 * time.Millisecond, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	if due := 2000; g.Issued < due-20 || g.Issued > due+20 {
		t.Errorf("issued %d attempts of %d that were due", g.Issued, due)
	}
	if g.Slip[3] < g.Slip[0] || !strings.Contains(g.String(), "an idle thread") {
		t.Errorf("%v\n%s", g.Slip, g)
	}
	for _, o := range []GeneratorOptions{{}, {Droplets: 1, Rate: 1e9, Length: 1}} {
		if _, err := Generate(t.Context(), o); err == nil {
			t.Errorf("%+v: no error", o)
		}
	}
}

// Nothing was issued: nothing was late.
func TestGeneratedNothing(t *testing.T) {
	g := &Generated{Slip: quantiles(record.NewLatency()), Asked: 100}
	text, err := json.Marshal(g)
	if err != nil || !strings.Contains(string(text), `"slip_s":null`) || !strings.Contains(g.String(), "slip            –\n") || !strings.Contains(g.String(), "0.0001 million/s") {
		t.Errorf("%v\n%s\n%s", err, text, g)
	}
}
