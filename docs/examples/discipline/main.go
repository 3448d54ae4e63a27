// Command youngest is leasestorm with a queue discipline of another module: the whole command,
// with "youngest" in every list. Copy this folder, take the replace line out of go.mod, and
// write your own.
package main

import (
	"os"
	"time"

	"github.com/leasestorm/leasestorm/cmd/leasestorm/cli"
	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/catalog"
)

func main() { os.Exit(cli.Main(os.Args[1:])) }

func init() {
	queue.Catalog.Register(catalog.Entry[queue.New]{
		Name: "youngest", Doc: "newest first; drops what has waited for a share of the timeout", Source: "an example",
		Params: []catalog.Param{{Name: "share", Unit: "timeouts", Default: 0.5, Min: 0.01, Max: 10, Doc: "longest wait"}},
		New:    newYoungest,
	})
}

// youngest serves what was pushed last, and drops what has waited for longer than limit.
type youngest struct {
	queue.Discipline
	limit time.Duration
}

func newYoungest(cfg queue.Config, v catalog.Values) (queue.Discipline, error) {
	inner, err := queue.Make("lifo", cfg)
	return youngest{inner, time.Duration(v["share"] * float64(cfg.Timeout))}, err
}

// Pop moves what is too old from the taken to the dropped, at the end of dst.
func (q youngest) Pop(now time.Duration, dst []queue.Item) (taken, dropped int) {
	taken, dropped = q.Discipline.Pop(now, dst)
	kept := 0
	for i := range dst[:taken] {
		if now-dst[i].Offered() <= q.limit {
			dst[kept], dst[i] = dst[i], dst[kept]
			kept++
		}
	}
	// dst[kept:taken] are too old, and what lies behind taken is free or dropped.
	for i := taken - 1; i >= kept; i-- {
		dropped++
		dst[i].Why = queue.Delay
		dst[len(dst)-dropped] = dst[i]
	}
	return kept, dropped
}
