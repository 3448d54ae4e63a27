package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/plot"
	"github.com/leasestorm/leasestorm/bench/scenario"
	"github.com/leasestorm/leasestorm/bench/study"
)

func mapCommand() *cobra.Command {
	var (
		f           scenarioFlags
		g           study.Map
		x, y        string
		contestants []string
		resume      string
	)
	cmd := &cobra.Command{
		Use:   "map SCENARIO",
		Short: "draw the collapse probability over two axes, per contestant, in virtual time",
		Long: `Runs the scenario over a grid of two axes, with several seeds per point, and draws where each
contestant collapses, how soon it recovers elsewhere, and the laws' lines. Every fourth point runs first, then the points
between neighbours that differ. Ctrl-C keeps every point, and --resume goes on from there.

Axes:
` + axisLines(),
		Args: func(cmd *cobra.Command, args []string) error {
			if resume != "" {
				return noArgs(cmd, args)
			}
			return oneScenario(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := resume
			for _, name := range []string{"x", "y", "contestants", "measure", "all", "seeds", "seed", "workers", "service", "out", "set", "leases", "broken", "table", "duration"} {
				if dir != "" && cmd.Flags().Changed(name) {
					return usage(fmt.Errorf("--resume goes on with the map as it was begun: leave out --%s", name))
				}
			}
			if dir == "" {
				s, err := f.load(cmd, args[0])
				if err != nil {
					return err
				}
				if g.X, err = scenario.ParseRange(x); err != nil {
					return usage(err)
				}
				if g.Y, err = scenario.ParseRange(y); err != nil {
					return usage(err)
				}
				g.Scenario, g.Contestants, g.Seeds, g.Seed = s.TOML(), contestants, f.seeds, max(1, f.opts.Seed)
				if err := fresh(f.out, func(d string) error {
					dir = d
					return study.NewMap(dir, g)
				}, "map", s.Name); err != nil {
					return badScenario(err)
				}
			}
			hint.Store("to go on: leasestorm map --resume " + dir)
			bar := newBar(os.Stderr, "points")
			res, err := study.RunMap(cmd.Context(), bench.Virtual{}, dir, bar.set)
			bar.close()
			if err != nil {
				return resumable(err)
			}
			_, err = plot.Draw(cmd.Context(), dir)
			return errors.Join(f.print(cmd.OutOrStdout(), res, func() string {
				text := res.Text() + fmt.Sprintf("\nfiles: %s\n", dir)
				if err == nil {
					text += fmt.Sprintf("figure: %s.svg, .png\n", filepath.Join(dir, "map"))
				}
				return text
			}), err)
		},
	}
	f.add(cmd)
	hide(cmd, "queue", "admit", "retry") // contestants say it
	setDefault(cmd, "leases", "100000")
	setDefault(cmd, "broken", "10000")
	setDefault(cmd, "seeds", "5")
	cmd.Flags().Lookup("out").Usage = "folder to make for the map (default results/<time>-map-<scenario>)"
	cmd.Flags().StringVar(&x, "x", "beta=0.25:6:40", "horizontal axis, axis=low:high:points[:log]")
	cmd.Flags().StringVar(&y, "y", "rho=0.05:0.75:40", "vertical axis, in the same form")
	contestants = []string{"fifo", "lifo", "deadline", "slack"}
	contestantsFlag(cmd, &contestants, "contestants to compare")
	cmd.Flags().StringVar(&g.Measure, "measure", "collapse", "what is counted: collapse (the leases do not come back), or healthy (leases lapse that had outlived the outage)")
	cmd.Flags().BoolVar(&g.All, "all", false, "run every point, also far from a border")
	cmd.Flags().StringVar(&resume, "resume", "", "folder of an interrupted map to go on with")
	return cmd
}

func axisLines() string {
	var b strings.Builder
	for _, a := range scenario.Axes {
		fmt.Fprintf(&b, "  %-9s %s (%s)\n", a.Name, a.Doc, a.Unit)
	}
	return b.String()
}
