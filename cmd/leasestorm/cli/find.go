package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/study"
)

func findCommand() *cobra.Command {
	var f scenarioFlags
	cmd := &cobra.Command{
		Use:   "find-collapse SCENARIO",
		Short: "find the smallest disturbance that makes a scenario collapse, and the single change that helps most",
		Long: `Bisects, in virtual time, on the size of each disturbance: a surge, a pause of all workers, a slow
spell, and combinations. The result is the size at which half of the seeds do not recover. Then
tries single changes against the smallest disturbance. --out FILE.toml writes a scenario that
reproduces it.`,
		Args: oneScenario,
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := f.load(cmd, args[0])
			if err != nil {
				return err
			}
			if err := free(f.out); err != nil {
				return err
			}
			f.opts.Seed = max(1, f.opts.Seed)
			r, err := study.FindCollapse(cmd.Context(), bench.Virtual{}, s, f.opts, f.seeds)
			if err != nil {
				return badScenario(err)
			}
			text := r.Text()
			if r.TOML != "" && f.out != "" {
				f.out, err = writeNew(f.out, r.TOML)
			}
			switch {
			case r.TOML == "":
			case err == nil && f.out != "":
				text += fmt.Sprintf("\nto see it: leasestorm sim %s\n", f.out)
			default:
				text += "\n# a scenario that collapses; --out FILE.toml writes it\n" + r.TOML
			}
			return errors.Join(f.print(cmd.OutOrStdout(), r, func() string { return text }), err)
		},
	}
	f.add(cmd)
	setDefault(cmd, "seeds", "3")
	cmd.Flags().Lookup("out").Usage = "file to write the reproducing scenario to"
	return cmd
}
