package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/export"
	"github.com/leasestorm/leasestorm/bench/plot"
	"github.com/leasestorm/leasestorm/bench/record"
	"github.com/leasestorm/leasestorm/bench/study"
)

func benchCommand() *cobra.Command {
	f := shared{watched: true, refuses: map[string]string{}}
	for _, name := range []string{"queue", "admit", "retry", "table", "contestants"} {
		f.refuses[name] = "a suite has contestants of its own; 'leasestorm rank SCENARIO --contestants …' takes yours"
	}
	suite, twice := "", false
	both := aa{&f}
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "run a suite, print a table and draw the figures",
		Long: `Runs a suite of scenarios, prints a table and draws the figures. Each cell has a folder of its
own. Ctrl-C keeps every finished cell, and --resume goes on from there. A flag that sets a key,
such as --leases, sets it in every cell.

--aa runs the suite twice (default: short, 10 seeds), one side after the other, with nothing changed
in between. By how much the medians of the two sides differ is this host's A/A envelope. The folder
keeps it, and 'leasestorm compare' and 'leasestorm gate' call no difference inside it real.

  leasestorm bench --suite short
  leasestorm bench --aa --out aa

Suites:
` + suiteLines(),
	}
	cmd.AddCommand(speedCommand(), generatorCommand())
	cmd.Flags().StringVar(&suite, "suite", "standard", "suite to run, one of those above")
	cmd.Flags().BoolVar(&twice, "aa", false, "run the suite twice with nothing changed, for the A/A envelope of this host")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		defer func() { f.view.close() }()
		dir, err := f.folder(cmd, "a folder for each cell", func() (func(dir string) error, []string, error) {
			if err := cmp.Or(f.refused(cmd), f.settle()); err != nil {
				return nil, nil, err
			}
			if twice {
				if err := both.check(cmd, &suite); err != nil {
					return nil, nil, err
				}
			}
			how := f.how()
			how.Set = f.assignments(cmd)
			if twice {
				return func(dir string) error { return both.layOut(suite, dir, how) }, []string{"aa", hostName()}, nil
			}
			return func(dir string) error { return study.NewSuite(suite, dir, how) }, []string{hostName()}, nil
		})
		if err != nil {
			return err
		}
		if twice || begun(f.resume) {
			return both.run(cmd, dir)
		}
		runs, err := f.suite(cmd, dir)
		if err != nil {
			return err
		}
		if f.asJSON {
			err = finishSuite(cmd.Context(), io.Discard, dir, runs.Results)
			err = errors.Join(err, printJSON(cmd.OutOrStdout(), map[string]any{"runs": runs.Results, "refused": runs.Refused}, record.JSON))
		} else {
			err = finishSuite(cmd.Context(), cmd.OutOrStdout(), dir, runs.Results)
		}
		return errors.Join(err, whatNext(runs, "bench", dir))
	}
	f.add(cmd, "real", 0)
	cmd.Flags().Lookup("seeds").Usage = "runs per contestant, run i with seed --seed + i; 0: the suite's own number"
	cmd.Flags().Lookup("out").Usage = "folder to make (default results/<time>-<host>)"
	cmd.Args = noArgs
	return cmd
}

func suiteLines() string {
	text := ""
	for _, s := range study.Suites() {
		text += fmt.Sprintf("  %-10s  %s\n", s.Name, s.About)
	}
	return text
}

// finishSuite writes what a finished suite comes to.
func finishSuite(ctx context.Context, w io.Writer, dir string, all []*bench.Result) error {
	table := study.Table(all)
	if err := writeAll(dir, map[string]func(io.Writer) error{
		"table.txt": record.Text(table),
	}); err != nil {
		return err
	}
	if err := export.All(ctx, dir); err != nil {
		return err
	}
	fmt.Fprintf(w, "%s\nfiles: %s (for other programs: %s)\n", table, dir, exported())
	return drawAll(ctx, w, dir)
}

// exported are the names of the files that other programs read.
func exported() string {
	var names []string
	for _, f := range export.Formats {
		names = append(names, f.Name)
	}
	return strings.Join(names, ", ")
}

// drawAll draws the figures of a folder, makes its page and names them all.
func drawAll(ctx context.Context, w io.Writer, dir string) error {
	if err := drawFigures(ctx, w, dir); err != nil {
		return err
	}
	page, err := pageOf(ctx, dir)
	fmt.Fprint(w, page)
	return err
}

func drawFigures(ctx context.Context, w io.Writer, dir string) error {
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
