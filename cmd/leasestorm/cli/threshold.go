package cli

import (
	"errors"
	"os"

	"github.com/spf13/cobra"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/scenario"
	"github.com/leasestorm/leasestorm/bench/study"
)

func thresholdCommand() *cobra.Command {
	f := shared{fallback: "surge", searches: true, refuses: map[string]string{}}
	contestants := []string{"fifo", "edf", "codel", "pie", "fair+fifo", "fifo/none/backoff", "lifo", "deadline", "slack", "fifo/token-bucket/retry-after"}
	cmd := &cobra.Command{
		Use:   "threshold [SCENARIO]",
		Short: "find the largest surge that each contestant survives, beside the batch law and the fluid law",
		Long: `Bisects on the number of broken leases, for each contestant and seed. Prints the median β with the
extremes, beside the border of each law. On the real engine a bisection takes two to three
minutes. "border" does it for one contestant, and compares with the law in detail.`,
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return f.begin(cmd, args, func(s *scenario.Scenario) error {
			f.last(cmd, s, study.ThresholdTimeouts)
			return f.pick(cmd, s, study.WithOwn(s, contestants))
		}, func(s scenario.Scenario, runner bench.Runner, dir string) error {
			bar := newBar(os.Stderr, "bisections")
			all, err := study.Thresholds(cmd.Context(), runner, s, f.contestants, f.opts, f.seeds, bar.set)
			bar.close()
			if len(all) == 0 && err != nil {
				return resumable(err)
			}
			if err != nil { // what is finished is shown, and not kept as the whole
				return errors.Join(resumable(err), f.print(cmd.OutOrStdout(), all, func() string { return study.ThresholdText(all) }))
			}
			return f.save(cmd.Context(), cmd.OutOrStdout(), dir, all, func() string { return study.ThresholdText(all) })
		})
	}
	f.add(cmd, "virtual", 5)
	return cmd
}

func borderCommand() *cobra.Command {
	f := shared{fallback: "surge", searches: true, refuses: map[string]string{
		"contestants": "a border is one contestant's, which --queue, --admit and --retry name; 'leasestorm threshold' takes many",
	}}
	cmd := &cobra.Command{
		Use:   "border [SCENARIO]",
		Short: "find the surge above which a scenario no longer recovers, by the fluid law and measured",
		Long: `Solves the fluid law for the scenario. Then bisects on the number of broken leases for the one at
which half of the seeds do not recover. If the scenario survives the loss of all leases, the output
is the time to recover from it.

The law covers fifo, edf, lifo, deadline and slack, with immediate retries, fixed waits or backoff
and with fixed or exponential services. docs/border.md derives it.`,
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return f.begin(cmd, args, func(s *scenario.Scenario) error {
			f.last(cmd, s, study.BorderTimeouts)
			return nil
		}, func(s scenario.Scenario, runner bench.Runner, dir string) error {
			b, err := study.FindBorder(cmd.Context(), runner, s, f.opts, f.seeds)
			if err != nil {
				return resumable(err)
			}
			return f.save(cmd.Context(), cmd.OutOrStdout(), dir, b, b.Text)
		})
	}
	f.add(cmd, "virtual", 1)
	return cmd
}
