package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/scenario"
	"github.com/leasestorm/leasestorm/bench/study"
)

func findCommand() *cobra.Command {
	f := shared{refuses: map[string]string{
		"contestants": "the search is about one contestant, which --queue, --admit and --retry name; 'leasestorm rank' compares several",
	}}
	file := ""
	cmd := &cobra.Command{
		Use:   "find-collapse SCENARIO",
		Short: "find the smallest disturbance that makes a scenario collapse, and the single change that helps most",
		Long: `Bisects on the size of each disturbance: a surge, a pause of all workers, a slow spell, and
combinations. The result is the size at which half of the seeds do not recover. Then tries single
changes against the smallest disturbance. --write FILE.toml writes a scenario that reproduces it.`,
	}
	cmd.Flags().StringVar(&file, "write", "", "file to write the reproducing scenario to")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := free(file); err != nil && f.resume == "" {
			return err
		}
		return f.begin(cmd, args, func(*scenario.Scenario) error { return nil }, func(s scenario.Scenario, runner bench.Runner, dir string) error {
			r, err := study.FindCollapse(cmd.Context(), runner, s, f.opts, f.seeds)
			if err != nil {
				return resumable(err)
			}
			text := r.Text()
			var written error
			if r.TOML != "" && file != "" {
				file, written = writeNew(file, r.TOML)
			}
			switch {
			case r.TOML == "":
			case written == nil && file != "":
				text += fmt.Sprintf("\nto see it: leasestorm sim %s\n", file)
			default:
				text += "\n# a scenario that collapses; --write FILE.toml writes it\n" + r.TOML
			}
			return errors.Join(f.save(cmd.Context(), cmd.OutOrStdout(), dir, r, func() string { return text }), written)
		})
	}
	f.add(cmd, "virtual", 3)
	return cmd
}
