package study

import (
	"fmt"
	"time"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/scenario"
)

// Method says how the runs of a study are made. It stands in the study's manifest, so that a study
// goes on as it was begun.
type Method struct {
	// Target is the service that the engine "target" asks.
	Target   *bench.Service `json:"target,omitempty"`
	Engine   string         `json:"engine,omitempty"`    // of bench.Runners; "": the study's own
	Idle     string         `json:"idle,omitempty"`      // as in bench.Options
	MaxQueue int            `json:"max_queue,omitempty"` // as in bench.Options
	Wait     float64        `json:"wait_s,omitempty"`    // for a quiet host, before each run
	Redo     int            `json:"redo,omitempty"`      // tries after the first of a run that the host spoils
}

// wait is Wait as a time.
func (m *Method) wait() time.Duration { return time.Duration(m.Wait * float64(time.Second)) }

// options are those of a run with that seed.
func (m *Method) options(seed uint64) bench.Options {
	return bench.Options{Target: m.Target, Seed: seed, Idle: m.Idle, MaxQueue: m.MaxQueue, Wait: m.wait()}
}

// validate is for a method that was read from a file.
func (m *Method) validate() error {
	if m.Redo < 0 || m.Redo > MaxRedo || !(m.Wait >= 0 && m.Wait <= 3600) {
		return fmt.Errorf("%w: redo %d or wait_s %g is out of range: 0 to %d, and 0 to 3600", scenario.ErrScenario, m.Redo, m.Wait, MaxRedo)
	}
	return nil
}
