package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

// stamps are what an agent's clocks showed when it was asked. Mono is the time since some instant of its
// own, which no step of the wall clock moves.
type stamps struct {
	Got  time.Duration `json:"got_ns"`  // mono, when the question came
	Sent time.Duration `json:"sent_ns"` // mono, when the answer went
	Wall int64         `json:"wall_ns"` // since 1970, when the question came
	Run  time.Duration `json:"run_ns"`  // run time, when the question came
	Runs bool          `json:"runs"`    // the run has begun
}

// reading is how two clocks compare.
type reading struct {
	Offset time.Duration // the agent's mono less the coordinator's
	Error  time.Duration // bounds the error of Offset: half of the round trip
	At     time.Duration // the coordinator's mono when the agent read its clocks
	stamps
}

// exchanges is how often a clock is asked. That with the shortest round trip counts: the others waited
// somewhere, and nobody knows on which way.
const exchanges = 40

// compare asks an agent's clock at a subject. now is the coordinator's mono.
func compare(ctx context.Context, nc *nats.Conn, subject string, now func() time.Duration) (best reading, err error) {
	for i := range exchanges {
		one, cancel := context.WithTimeout(ctx, 2*time.Second)
		t0 := now()
		msg, err := nc.RequestWithContext(one, subject, nil)
		t3 := now()
		cancel()
		if err != nil {
			return best, fmt.Errorf("its clock does not answer: %w", err)
		}
		var s stamps
		if err := json.Unmarshal(msg.Data, &s); err != nil {
			return best, fmt.Errorf("its clock: %w", err)
		}
		if r := weigh(t0, t3, s); i == 0 || r.Error < best.Error {
			best = r
		}
	}
	return best, nil
}

// weigh compares two clocks by one exchange, as NTP does (RFC 5905, section 8): asked at t0 and answered at
// t3 by the coordinator's clock.
func weigh(t0, t3 time.Duration, s stamps) reading {
	r := reading{Offset: ((s.Got - t0) + (s.Sent - t3)) / 2, Error: max(0, (t3-t0)-(s.Sent-s.Got)) / 2, stamps: s}
	r.At = s.Got - r.Offset
	return r
}
