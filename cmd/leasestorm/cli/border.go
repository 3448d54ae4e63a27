package cli

import (
	"github.com/spf13/cobra"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/study"
)

func borderCommand() *cobra.Command {
	var f scenarioFlags
	cmd := &cobra.Command{
		Use:   "border SCENARIO",
		Short: "find the surge above which a scenario no longer recovers, by the fluid law and measured in virtual time",
		Long: `Solves the fluid law for the scenario. Then bisects, in virtual time, on the number of broken
leases for the one at which half of the seeds do not recover. If the scenario survives the loss
of all leases, the output is the time to recover from it.

The law covers fifo, edf, lifo, deadline and slack, with immediate retries, fixed waits or backoff
and with fixed or exponential services. docs/border.md derives it.`,
		Args: oneScenario,
		RunE: func(cmd *cobra.Command, args []string) error {
			f.set = append([]string{"broken=1"}, f.set...) // it is what is searched for, whatever the scenario says
			s, err := f.load(cmd, args[0])
			if err != nil {
				return err
			}
			f.opts.Seed = max(1, f.opts.Seed)
			b, err := study.FindBorder(cmd.Context(), bench.Virtual{}, s, f.opts, f.seeds)
			if err != nil {
				return badScenario(err)
			}
			return f.print(cmd.OutOrStdout(), b, b.Text)
		},
	}
	f.add(cmd)
	hide(cmd, "broken", "out", "duration") // what is searched for, and what has no meaning here
	return cmd
}
