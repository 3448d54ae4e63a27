package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/plot"
	"github.com/leasestorm/leasestorm/bench/record"
	"github.com/leasestorm/leasestorm/bench/scenario"
	"github.com/leasestorm/leasestorm/bench/study"
)

func benchCommand() *cobra.Command {
	var (
		suite, out, resume string
		seed               uint64
		workers, seeds     int
	)
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "run a suite, print a table and draw the figures",
		Long: `Runs a suite of scenarios, prints a table and draws the figures. Each cell has a folder of its
own. Ctrl-C keeps every finished cell, and --resume goes on from there.

Suites:
` + suiteLines(),
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := workersInRange(workers); err != nil {
				return err
			}
			if err := suiteSeedsInRange(seeds); err != nil {
				return err
			}
			dir := resume
			if dir == "" {
				if err := fresh(out, func(d string) error {
					dir = d
					return study.NewSuite(suite, dir, "real", seed, workers, seeds)
				}, hostName()); err != nil {
					return badScenario(err)
				}
			} else if cmd.Flags().Changed("suite") || out != "" || cmd.Flags().Changed("seed") || cmd.Flags().Changed("workers") || seeds > 0 {
				return usage(errors.New("--resume goes on with the suite as it was begun: leave out --suite, --out, --seed, --seeds and --workers"))
			}
			hint.Store("to go on: leasestorm bench --resume " + dir)
			bars := newBars(os.Stderr)
			all, err := study.RunSuite(cmd.Context(), dir, bars)
			bars.close()
			if err != nil {
				return resumable(err)
			}
			return report(cmd.Context(), cmd.OutOrStdout(), dir, all)
		},
	}
	cmd.AddCommand(speedCommand(), generatorCommand(), compareCommand(), preventCommand(), fairnessCommand(), thresholdCommand())
	cmd.Flags().StringVar(&suite, "suite", "standard", "suite to run, one of those above")
	cmd.Flags().StringVar(&resume, "resume", "", "folder of an interrupted suite to go on with")
	cmd.Flags().IntVar(&workers, "workers", 0, "worker threads; 0: one per physical core, less the generator's")
	cmd.Flags().Uint64Var(&seed, "seed", 1, "seed of the order and of the first repetition")
	cmd.Flags().IntVar(&seeds, "seeds", 0, "runs per contestant, run i with seed --seed + i; 0: the suite's own number")
	cmd.Flags().StringVar(&out, "out", "", "folder to make (default results/<time>-<host>)")
	return cmd
}

func suiteLines() string {
	text := ""
	for _, s := range study.Suites() {
		text += fmt.Sprintf("  %-9s %s\n", s.Name, s.About)
	}
	return text
}

// report writes what a finished suite comes to.
func report(ctx context.Context, w io.Writer, dir string, all []*bench.Result) error {
	table := study.Table(all)
	for name, write := range map[string]func(io.Writer) error{
		"bench.txt": func(w io.Writer) error { return study.WriteBenchmarks(w, all) },
		"table.txt": func(w io.Writer) error { _, err := io.WriteString(w, table); return err },
	} {
		if err := record.WriteFile(filepath.Join(dir, name), write); err != nil {
			return err
		}
	}
	fmt.Fprintf(w, "%s\nfiles: %s (bench.txt is for benchstat)\n", table, dir)
	return drawAll(ctx, w, dir)
}

// drawAll draws the figures of a folder and names them.
func drawAll(ctx context.Context, w io.Writer, dir string) error {
	figures, err := plot.Draw(ctx, dir)
	for _, f := range figures {
		fmt.Fprintf(w, "figure: %s.svg, .png\n", filepath.Join(dir, f))
	}
	return whyNone(w, err)
}

// whyNone prints why there is no figure, if that is no fault.
func whyNone(w io.Writer, err error) error {
	if errors.Is(err, plot.ErrFewCounts) {
		fmt.Fprintln(w, err)
		return nil
	}
	return err
}

func hostName() string {
	name, err := os.Hostname()
	if err != nil || name == "" {
		return "unknown"
	}
	return name
}

func suiteSeedsInRange(n int) error {
	if n < 0 || n > scenario.MaxSeeds {
		return usage(fmt.Errorf("--seeds %d is out of range: 0 (the suite's own) to 10000 seeds", n))
	}
	return nil
}

func workersInRange(n int) error {
	if n < 0 || n > scenario.MaxWorkers {
		return usage(fmt.Errorf("--workers %d is out of range: 0 (from the host's topology) to 4096 workers", n))
	}
	return nil
}

func plotCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "plot DIR",
		Short: "draw the figures of a folder again, from its files alone",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage(fmt.Errorf("plot takes one folder, not %d", len(args)))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			figures, err := plot.Draw(cmd.Context(), args[0])
			for _, f := range figures {
				fmt.Fprintf(cmd.OutOrStdout(), "%s.svg\n%s.png\n", filepath.Join(args[0], f), filepath.Join(args[0], f))
			}
			return whyNone(cmd.OutOrStdout(), err)
		},
	}
}
