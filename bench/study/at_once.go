package study

import (
	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/scenario"
)

// atOnce is how many runs of a scenario are made at a time: one where they must be alone, else one
// per processor, as far as memory goes. bytes is the least memory of each.
func atOnce(runner bench.Runner, s scenario.Scenario) (at int, bytes int64) {
	if runner.Alone() {
		return 1, 0
	}
	return bench.AtOnce(s)
}
