package cli

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/leasestorm/leasestorm/bench/scenario"
	"github.com/leasestorm/leasestorm/bench/study"
)

func mapCommand() *cobra.Command {
	f := shared{fallback: "surge"}
	var (
		g    study.Map
		x, y string
	)
	cmd := &cobra.Command{
		Use:   "map [SCENARIO]",
		Short: "draw the collapse probability over two axes, per contestant",
		Long: `Runs the scenario over a grid of two axes, with several seeds per point, and draws the collapse
probability of each contestant as a heat map. Every fourth point runs first, then the points
between neighbours that differ. Ctrl-C keeps every point, and --resume goes on from there.
A scenario of more leases is scaled down to 100,000 at the same ρ and β; --leases N runs it with N.

Axes:
` + axisLines(),
	}
	cmd.Flags().StringVar(&x, "x", "beta=0.25:6:40", "horizontal axis, axis=low:high:points[:log]")
	cmd.Flags().StringVar(&y, "y", "rho=0.05:0.75:40", "vertical axis, in the same form")
	cmd.Flags().StringVar(&g.Measure, "measure", "collapse", "what is counted: collapse (the leases do not come back), or healthy (leases lapse that had outlived the outage)")
	cmd.Flags().BoolVar(&g.All, "all", false, "run every point, also far from a border")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		dir, err := f.folder(cmd, "its points in a folder", func() (func(dir string) error, []string, error) {
			s, err := f.load(cmd, args)
			if err != nil {
				return nil, nil, err
			}
			f.size(cmd, &s, manyRuns)
			if err := f.pick(cmd, &s, study.WithOwn(&s, []string{"fifo", "lifo", "deadline", "slack"})); err != nil {
				return nil, nil, err
			}
			if g.X, err = scenario.ParseRange(x); err != nil {
				return nil, nil, err
			}
			if g.Y, err = scenario.ParseRange(y); err != nil {
				return nil, nil, err
			}
			if err := errors.Join(f.axis(&s, g.X), f.axis(&s, g.Y)); err != nil {
				return nil, nil, err
			}
			g.Scenario, g.Contestants, g.Seeds, g.Seed, g.Method = s.TOML(), f.contestants, f.seeds, f.opts.Seed, f.method()
			f.tell(&s)
			return func(dir string) error { return study.NewMap(dir, g) }, []string{"map", s.Name}, nil
		})
		if err != nil {
			return err
		}
		bar := newBar(os.Stderr, "points")
		res, err := study.RunMap(cmd.Context(), dir, f.place, bar.set)
		bar.close()
		if err != nil {
			return resumable(err)
		}
		fmt.Fprint(os.Stderr, res.RefusedText())
		var drawn strings.Builder
		err = drawAll(cmd.Context(), &drawn, dir)
		return errors.Join(f.print(cmd.OutOrStdout(), res, func() string {
			return res.Text() + fmt.Sprintf("\nfiles: %s\n", dir) + drawn.String()
		}), err)
	}
	f.add(cmd, "virtual", 5)
	return cmd
}

func axisLines() string {
	var b strings.Builder
	for _, a := range scenario.Axes {
		fmt.Fprintf(&b, "  %-9s %s (%s)\n", a.Name, a.Doc, a.Unit)
	}
	b.WriteString("  queue.P, admit.P, retry.P  parameter P of the contestant's part, as in queue.exponent=0.5:1:6 ('describe' lists them)\n")
	return b.String()
}
