package cli

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/plot"
	"github.com/leasestorm/leasestorm/bench/scenario"
	"github.com/leasestorm/leasestorm/bench/study"
)

// manyRuns is the number of leases to which map and sweep scale a scenario down, which they run by
// the hundred.
const manyRuns = 100_000

func sweepCommand() *cobra.Command {
	f := shared{fallback: "surge"}
	x := ""
	cmd := &cobra.Command{
		Use:   "sweep [SCENARIO]",
		Short: "draw time to recover and idle share along one axis, per contestant",
		Long: `Runs the scenario along an axis, with several seeds per point. Draws the time to recover and the
workers' idle share in the recovery. Some axes set a part (jitter: the retry policy). A part
that a contestant names itself stays as it is. A scenario of more leases is scaled down to 100,000
at the same ρ and β; --leases N runs it with N.

Axes:
` + axisLines(),
	}
	cmd.Flags().StringVar(&x, "x", "jitter=0:4:17", "axis=low:high:points[:log]")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return f.begin(cmd, args, func(s *scenario.Scenario) error {
			f.size(cmd, s, manyRuns)
			r, err := scenario.ParseRange(x)
			if err == nil {
				err = f.axis(s, r)
			}
			if err != nil {
				return usage(err)
			}
			return f.pick(cmd, s, study.WithOwn(s, []string{"fifo/token-bucket", "deadline", "deadline:margin=0", "lifo", "slack"}))
		}, func(s scenario.Scenario, runner bench.Runner, dir string) error {
			l := study.Sweep{Scenario: s.TOML(), Contestants: f.contestants, Seeds: f.seeds, Seed: f.opts.Seed, Method: f.method()}
			var err error
			if l.X, err = scenario.ParseRange(x); err != nil {
				return usage(err)
			}
			bar := newBar(os.Stderr, "points")
			err = l.Run(cmd.Context(), runner, bar.set)
			bar.close()
			if err != nil {
				return resumable(err)
			}
			return f.saveDrawn(cmd.Context(), cmd.OutOrStdout(), dir, plot.SweepFile, &l, l.Text)
		})
	}
	f.add(cmd, "virtual", 5)
	return cmd
}
