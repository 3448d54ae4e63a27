package cli

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/plot"
	"github.com/leasestorm/leasestorm/bench/record"
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
	cmd.Flags().IntVar(&f.seeds, "seeds", 0, "runs of each contestant, over seeds from --seed on; 0: the suite's own number")
	cmd.Flags().Uint64Var(&f.seed, "seed", 1, "seed of the order and of the first repetition")
	cmd.Flags().IntVar(&f.workers, "workers", 0, "worker threads; 0: one a physical core, less the generator's")
	cmd.Flags().StringVar(&f.out, "out", "", "folder to make (default results/<time>-<host>-<suite>)")
	cmd.Flags().StringVar(&f.resume, "resume", "", "folder that was interrupted, to go on with")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print the rows as one JSON array on stdout, and nothing else there")
}

// run runs the suite and ranks it.
func (f *rankedFlags) run(cmd *cobra.Command, suite string) (string, []bench.CompareRow, error) {
	if err := workersInRange(f.workers); err != nil {
		return "", nil, err
	}
	if err := suiteSeedsInRange(f.seeds); err != nil {
		return "", nil, err
	}
	dir := f.resume
	if dir == "" {
		if dir = f.out; dir == "" {
			dir = resultsFolder(hostName(), suite)
		}
		begin := func() error { return bench.NewSuite(suite, dir, f.engine, f.seed, f.workers, f.seeds) }
		if len(f.contestants) > 0 {
			begin = func() error {
				return bench.NewComparison(f.contestants, dir, f.engine, f.seed, f.workers, f.seeds)
			}
		}
		if err := begin(); err != nil {
			return "", nil, badScenario(err)
		}
	}
	bars := newBars(os.Stderr)
	all, err := bench.RunSuite(cmd.Context(), dir, bars)
	bars.close()
	if err != nil {
		return "", nil, fmt.Errorf("%w\nto go on: leasestorm bench %s --resume %s", err, cmd.Name(), dir)
	}
	rows := bench.Compare(all)
	bench.MeasureCosts(rows)
	return dir, rows, record.WriteFile(filepath.Join(dir, plot.CompareFile), record.JSON(map[string]any{"schema": bench.ManifestSchema, "rows": rows}))
}

// finish writes the tables, draws the figure and prints.
func (f *rankedFlags) finish(w io.Writer, dir string, rows []bench.CompareRow, text, markdown string) error {
	for name, write := range map[string]func(io.Writer) error{
		"compare.md":  func(w io.Writer) error { _, err := io.WriteString(w, markdown); return err },
		"compare.csv": func(w io.Writer) error { return bench.WriteCompareCSV(w, rows) },
	} {
		if err := record.WriteFile(filepath.Join(dir, name), write); err != nil {
			return err
		}
	}
	figures, err := plot.Draw(dir)
	if err != nil {
		return err
	}
	if f.asJSON {
		return record.JSON(rows)(w)
	}
	fmt.Fprintf(w, "%s\nfiles: %s (compare.md, compare.csv)\n", text, dir)
	for _, name := range figures {
		fmt.Fprintf(w, "figure: %s.svg, .png\n", filepath.Join(dir, name))
	}
	return nil
}

func compareCommand() *cobra.Command {
	var f rankedFlags
	var all bool
	cmd := f.command("compare", bench.CompareText, func() string {
		if all {
			return "compare-all"
		}
		return "compare"
	})
	cmd.Short = "rank disciplines, admission controls and retry policies by the surge"
	cmd.Long = `Runs the surge over a short list of contestants (--all: the full grid), several seeds each, in
shuffled order, and ranks them. Ctrl-C keeps every finished run; --resume goes on from there.`
	cmd.Flags().BoolVar(&all, "all", false, "the full grid")
	contestantsFlag(cmd, &f.contestants, "contestants of one's own choice")
	return cmd
}

func preventCommand() *cobra.Command {
	var f rankedFlags
	cmd := f.command("prevent", bench.PreventText, func() string { return "prevent" })
	cmd.Short = "each control in place before the surge, and switched on after the collapse"
	return cmd
}

func fairnessCommand() *cobra.Command {
	var f rankedFlags
	cmd := f.command("fairness", bench.FairnessText, func() string { return "fairness" })
	cmd.Short = "one zone of three carries the surge: what do the other two feel?"
	return cmd
}

// command runs a suite, which is named once the flags are read, and shows its rows.
func (f *rankedFlags) command(use string, text func(rows []bench.CompareRow, markdown bool) string, suite func() string) *cobra.Command {
	cmd := &cobra.Command{
		Use:  use,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, rows, err := f.run(cmd, suite())
			if err != nil {
				return err
			}
			return f.finish(cmd.OutOrStdout(), dir, rows, text(rows, false), text(rows, true))
		},
	}
	f.add(cmd)
	return cmd
}
