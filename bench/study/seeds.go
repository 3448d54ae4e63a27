package study

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/internal/show"
	"github.com/leasestorm/leasestorm/bench/scenario"
)

// seeds runs a scenario n times, one run after another, with the seeds o.Seed, o.Seed+1, ….
// If o.Folder is set, each run has a folder of its own in it, named by its seed. The first
// error, or ctx's, ends it. Beside an error stand the results that there are, one whose files
// could not be written included.
func seeds(ctx context.Context, runner bench.Runner, s scenario.Scenario, o bench.Options, n int) ([]*bench.Result, error) {
	all := make([]*bench.Result, 0, n)
	for i := range n {
		run := o
		run.Seed = seedAt(o.Seed, i)
		if o.Folder != "" {
			run.Folder = filepath.Join(o.Folder, fmt.Sprintf("s%d", run.Seed))
		}
		res, err := runner.Run(ctx, s, run)
		if errors.Is(err, bench.ErrFiles) {
			all = append(all, res)
		}
		if err != nil {
			return all, err
		}
		o.Say("%d of %d: %s, TTR %s", i+1, n, res.Verdict, show.Dash(res.TTR, "%.2f s"))
		all = append(all, res)
	}
	return all, nil
}

// seedAt is the seed of the i-th repetition. It leaves out 0, which asks for a random seed.
func seedAt(first uint64, i int) uint64 {
	seed := first + uint64(i)
	if seed < first {
		seed++ // beyond the largest seed comes 1
	}
	return seed
}

// unrecorded are options of runs that leave no files and are not told of: a search has too many.
func unrecorded(o bench.Options) bench.Options {
	o.Folder, o.Progress = "", nil
	return o
}

// allContest says whether each of the contestants can be in the scenario.
func allContest(base scenario.Scenario, contestants []string) error {
	for _, c := range contestants {
		if _, err := contest(base, c); err != nil {
			return err
		}
	}
	return nil
}

// point runs a scenario of a map or a sweep over its seeds. refused is why there is no such
// scenario, which is a result.
func point(ctx context.Context, runner bench.Runner, s scenario.Scenario, o bench.Options, n int) (all sample, refused string, err error) {
	if o.MaxQueue == 0 || o.MaxQueue > hopeless {
		o.MaxQueue = hopeless
	}
	all, err = seeds(ctx, runner, s, o, n)
	if scenario.Refused(err) {
		return nil, err.Error(), nil
	}
	return all, "", err
}

// hopeless ends a run whose queue has outgrown hope, and memory.
const hopeless = 20_000_000
