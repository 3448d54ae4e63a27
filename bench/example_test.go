package bench_test

import (
	"context"
	"fmt"
	"time"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/scenario"
	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/catalog"
)

// youngest serves what was born last, and drops whatever has waited for half a timeout.
type youngest struct {
	queue.Discipline
	limit time.Duration
}

func (q youngest) Pop(now time.Duration, dst []queue.Item) (taken, dropped int) {
	taken, dropped = q.Discipline.Pop(now, dst)
	for i := 0; i < taken; {
		if it := dst[i]; now-it.Offered() > q.limit {
			it.Why = queue.Delay
			copy(dst[i:taken], dst[i+1:taken])
			taken--
			dropped++
			dst[len(dst)-dropped] = it
			continue
		}
		i++
	}
	return taken, dropped
}

// A discipline of one's own, in one's own module: register it, hold it to
// queuetest.Run, and it runs in every scenario. A main that registers it and calls
// os.Exit(cli.Main(os.Args[1:])) is the full command with it in every list.
func Example() {
	queue.Catalog.Register(catalog.Entry[queue.New]{
		Name: "youngest", Doc: "lifo that drops what has waited for half a timeout", Source: "an example",
		New: func(cfg queue.Config, _ catalog.Values) (queue.Discipline, error) {
			inner, err := queue.Make("lifo", cfg)
			return youngest{inner, cfg.Timeout / 2}, err
		},
	})
	s, err := scenario.Load("surge")
	if err == nil {
		err = s.Set("leases=10000", "broken=1000", "queue=youngest")
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	res, err := bench.Virtual{}.Run(context.Background(), s, bench.Options{Seed: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(res.Queue, res.Verdict)
	// Output: youngest recovered
}
