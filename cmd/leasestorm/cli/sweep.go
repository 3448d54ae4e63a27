package cli

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/plot"
	"github.com/leasestorm/leasestorm/bench/record"
	"github.com/leasestorm/leasestorm/bench/scenario"
	"github.com/leasestorm/leasestorm/bench/study"
)

func sweepCommand() *cobra.Command {
	var (
		f           scenarioFlags
		l           study.Sweep
		x           string
		contestants []string
	)
	cmd := &cobra.Command{
		Use:   "sweep SCENARIO",
		Short: "draw time to recover and idle share along one axis, per contestant, in virtual time",
		Long: `Runs the scenario along an axis, with several seeds per point. Draws the time to recover and the
workers' idle share in the recovery. Some axes set a part (jitter: the retry policy). A part
that a contestant names itself stays as it is.

Axes:
` + axisLines(),
		Args: oneScenario,
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := f.load(cmd, args[0])
			if err != nil {
				return err
			}
			if l.X, err = scenario.ParseRange(x); err != nil {
				return usage(err)
			}
			l.Scenario, l.Contestants, l.Seeds, l.Seed = s.TOML(), contestants, f.seeds, max(1, f.opts.Seed)
			var folder *record.Folder
			if err := fresh(f.out, func(dir string) (err error) {
				folder, err = record.Create(dir)
				return err
			}, "sweep", s.Name); err != nil {
				return err
			}
			defer folder.Abandon()
			bar := newBar(os.Stderr, "points")
			err = l.Run(cmd.Context(), bench.Virtual{}, bar.set)
			bar.close()
			if err != nil {
				return badScenario(err)
			}
			var figures strings.Builder
			if err = folder.WriteJSON(plot.SweepFile, &l); err == nil {
				err = folder.Commit()
			}
			if err != nil {
				err = folder.Keep(err)
			} else {
				fmt.Fprintf(&figures, "\nfiles: %s\n", folder.Path())
				err = drawAll(cmd.Context(), &figures, folder.Path())
			}
			return errors.Join(f.print(cmd.OutOrStdout(), &l, func() string { return l.Text() + figures.String() }), err)
		},
	}
	f.add(cmd)
	hide(cmd, "queue", "admit", "retry")
	setDefault(cmd, "leases", "100000")
	setDefault(cmd, "broken", "10000")
	setDefault(cmd, "seeds", "5")
	cmd.Flags().Lookup("out").Usage = "folder to make (default results/<time>-sweep-<scenario>)"
	cmd.Flags().StringVar(&x, "x", "jitter=0:4:17", "axis=low:high:points[:log]")
	contestants = []string{"fifo/token-bucket", "deadline", "deadline:margin=0", "lifo", "slack"}
	contestantsFlag(cmd, &contestants, "contestants to compare")
	return cmd
}
