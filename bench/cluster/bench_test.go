package cluster

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/scenario"
)

// BenchmarkCell is the way of a cell of 200 leases to a worker and back, beside the same run in this
// process: the difference is the overhead. With many in hand, one worker shows how many cells a second
// one embedded server takes on the same cores.
func BenchmarkCell(b *testing.B) {
	s, err := scenario.Load("surge")
	if err == nil {
		err = s.Set("leases=200", "broken=20", "duration=2s", "workers=1")
	}
	if err != nil {
		b.Fatal(err)
	}
	server, err := embedding{listen: "127.0.0.1:0"}.start(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer server.stop()
	c, err := open(b.Context(), server.link, true, &state{id: "bench"}, "bench", bench.Virtual{}, 10*time.Second, false)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = c.close(true) }()
	ctx, stop := context.WithCancel(b.Context())
	defer stop()
	go func() { _ = work(ctx, server.link, time.Minute, b.TempDir(), b.Logf, func(news) {}) }()
	seed := uint64(0) // no cell is asked for twice
	for _, tt := range []struct {
		name   string
		runner bench.Runner
		hand   int
	}{{"here", bench.Virtual{}, 1}, {"one", c, 1}, {"many", c, 64}} {
		b.Run(tt.name, func(b *testing.B) {
			next := make(chan uint64)
			var all sync.WaitGroup
			for range tt.hand {
				all.Go(func() {
					for seed := range next {
						if _, err := tt.runner.Run(b.Context(), s, bench.Options{Seed: seed}); err != nil {
							b.Error(err)
						}
					}
				})
			}
			for b.Loop() {
				seed++
				next <- seed
			}
			close(next)
			all.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "cells/s")
		})
	}
}
