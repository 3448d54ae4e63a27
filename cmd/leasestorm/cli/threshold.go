package cli

import (
	"errors"

	"github.com/leasestorm/leasestorm/bench/study"
	"github.com/spf13/cobra"
)

func thresholdCommand() *cobra.Command {
	var (
		f           scenarioFlags
		contestants []string
		on          string
	)
	cmd := &cobra.Command{
		Use:   "threshold SCENARIO",
		Short: "find the largest surge that each contestant survives, beside the batch law and the fluid law",
		Long: `Bisects on the number of broken leases, for each contestant and seed. Prints the median β with the
extremes, beside the border of each law. On the real engine a bisection takes two to three
minutes.`,
		Args: oneScenario,
		RunE: func(cmd *cobra.Command, args []string) error {
			f.set = append([]string{"broken=1"}, f.set...) // it is what is searched for
			s, err := f.load(cmd, args[0])
			if err != nil {
				return err
			}
			if on == "real" && s.Broken == 1 {
				s.Broken = min(100_000, s.Leases) // a quarter of what is tried first
			}
			runner, err := runnerOf(on)
			if err != nil {
				return err
			}
			f.opts.Seed = max(1, f.opts.Seed)
			all, err := study.Thresholds(cmd.Context(), runner, s, contestants, f.opts, f.seeds)
			if len(all) == 0 && err != nil {
				return badScenario(err)
			}
			return errors.Join(badScenario(err), f.print(cmd.OutOrStdout(), all, func() string { return study.ThresholdText(all) }))
		},
	}
	f.add(cmd)
	setDefault(cmd, "seeds", "5")
	hide(cmd, "broken", "out", "queue", "admit", "retry")
	cmd.Flags().StringVar(&on, "engine", "virtual", "real or virtual")
	contestants = []string{"fifo", "edf", "codel", "pie", "fair+fifo", "fifo/none/backoff", "lifo", "deadline", "slack", "fifo/token-bucket/retry-after"}
	contestantsFlag(cmd, &contestants, "contestants to compare")
	return cmd
}
