package main

import (
	"testing"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/scenario"
	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/queuetest"
)

// The discipline is held to the page of queue.Discipline, by the suite that holds the built-in ones.
func TestYoungest(t *testing.T) {
	queuetest.Run(t, func(cfg queue.Config) (queue.Discipline, error) {
		return queue.Make("youngest", cfg)
	})
}

// It runs in every scenario, and recovers from the surge.
func TestSurge(t *testing.T) {
	s, err := scenario.Load("surge")
	if err == nil {
		err = s.Set("leases=10000", "broken=1000", "queue=youngest:share=0.3")
	}
	if err != nil {
		t.Fatal(err)
	}
	res, err := bench.Virtual{}.Run(t.Context(), s, bench.Options{Seed: 1})
	if err != nil || res.Verdict != bench.Recovered {
		t.Fatalf("%v, %+v", err, res)
	}
}
