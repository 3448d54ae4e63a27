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
	"github.com/leasestorm/leasestorm/bench/study"
)

// rankedFlags are what compare, prevent and fairness have in common.
type rankedFlags struct {
	out, resume, engine string
	seed                uint64
	seeds, workers      int
	asJSON              bool
	contestants         []string
}

func (f *rankedFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.engine, "engine", "real", "real or virtual")
	cmd.Flags().IntVar(&f.seeds, "seeds", 0, "runs per contestant, run i with seed --seed + i; 0: the suite's own number")
	cmd.Flags().Uint64Var(&f.seed, "seed", 1, "seed of the order and of the first repetition")
	cmd.Flags().IntVar(&f.workers, "workers", 0, "worker threads; 0: one per physical core, less the generator's")
	cmd.Flags().StringVar(&f.out, "out", "", "folder to make (default results/<time>-<host>-<suite>)")
	cmd.Flags().StringVar(&f.resume, "resume", "", "folder of an interrupted suite to go on with")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print the rows as one JSON array on stdout, and nothing else there")
}

// run runs the suite and ranks it.
func (f *rankedFlags) run(cmd *cobra.Command, suite string) (string, []study.CompareRow, error) {
	if err := workersInRange(f.workers); err != nil {
		return "", nil, err
	}
	if err := suiteSeedsInRange(f.seeds); err != nil {
		return "", nil, err
	}
	dir := f.resume
	if dir == "" {
		if err := fresh(f.out, func(d string) error {
			dir = d
			if len(f.contestants) > 0 {
				return study.NewComparison(f.contestants, dir, f.engine, f.seed, f.workers, f.seeds)
			}
			return study.NewSuite(suite, dir, f.engine, f.seed, f.workers, f.seeds)
		}, hostName(), suite); err != nil {
			return "", nil, badScenario(err)
		}
	}
	hint.Store(fmt.Sprintf("to go on: leasestorm bench %s --resume %s", cmd.Name(), dir))
	bars := newBars(os.Stderr)
	all, err := study.RunSuite(cmd.Context(), dir, bars)
	bars.close()
	if err != nil {
		return "", nil, resumable(err)
	}
	rows := study.Compare(all)
	study.MeasureCosts(rows)
	return dir, rows, record.WriteFile(filepath.Join(dir, plot.CompareFile), record.JSON(map[string]any{"schema": bench.ManifestSchema, "rows": rows}))
}

// finish writes the tables, draws the figure and prints.
func (f *rankedFlags) finish(ctx context.Context, w io.Writer, dir string, rows []study.CompareRow, text, markdown string) error {
	for name, write := range map[string]func(io.Writer) error{
		"compare.md":  func(w io.Writer) error { _, err := io.WriteString(w, markdown); return err },
		"compare.csv": func(w io.Writer) error { return study.WriteCompareCSV(w, rows) },
	} {
		if err := record.WriteFile(filepath.Join(dir, name), write); err != nil {
			return err
		}
	}
	if f.asJSON {
		err := record.JSON(rows)(w)
		return errors.Join(err, drawAll(ctx, io.Discard, dir))
	}
	fmt.Fprintf(w, "%s\nfiles: %s (compare.md, compare.csv)\n", text, dir)
	return drawAll(ctx, w, dir)
}

func compareCommand() *cobra.Command {
	var f rankedFlags
	var all bool
	cmd := f.command("compare", study.CompareText, func() string {
		if all {
			return "compare-all"
		}
		return "compare"
	})
	cmd.Short = "rank disciplines, admission controls and retry policies by the surge"
	cmd.Long = `Runs the surge over a short list of contestants (--all: the full grid) and ranks them. Each
contestant runs with several seeds, in shuffled order. Ctrl-C keeps every finished run, and
--resume goes on from there.`
	cmd.Flags().BoolVar(&all, "all", false, "rank the full grid of contestants")
	contestantsFlag(cmd, &f.contestants, "contestants to rank")
	return cmd
}

func preventCommand() *cobra.Command {
	var f rankedFlags
	cmd := f.command("prevent", study.PreventText, func() string { return "prevent" })
	cmd.Short = "run each control in place before the surge, and switched on after the collapse"
	return cmd
}

func fairnessCommand() *cobra.Command {
	var f rankedFlags
	cmd := f.command("fairness", study.FairnessText, func() string { return "fairness" })
	cmd.Short = "put the surge into one zone of three, and measure what the other two get"
	return cmd
}

// command runs a suite, which is named once the flags are read, and shows its rows.
func (f *rankedFlags) command(use string, text func(rows []study.CompareRow, markdown bool) string, suite func() string) *cobra.Command {
	cmd := &cobra.Command{
		Use:  use,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, rows, err := f.run(cmd, suite())
			if err != nil {
				return err
			}
			return f.finish(cmd.Context(), cmd.OutOrStdout(), dir, rows, text(rows, false), text(rows, true))
		},
	}
	f.add(cmd)
	return cmd
}
