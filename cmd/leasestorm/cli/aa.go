package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/compare"
	"github.com/leasestorm/leasestorm/bench/record"
	"github.com/leasestorm/leasestorm/bench/study"
)

// aa is bench --aa: a suite twice, a side after the other, as two suites that are compared are made.
type aa struct{ *shared }

// check settles what --aa has of its own.
func (f aa) check(cmd *cobra.Command, suite *string) error {
	if !f.runner.Alone() {
		return usage(errors.New("--aa measures how much this host disturbs runs: in virtual time nothing does; leave out --engine virtual"))
	}
	if !cmd.Flags().Changed("suite") {
		*suite = "short"
	}
	if !cmd.Flags().Changed("seeds") {
		f.seeds = compare.LeastRuns
	}
	return nil
}

// layOut makes the folder with both sides.
func (f aa) layOut(suite, dir string, how study.How) error {
	if err := mkdir(dir); err != nil {
		return err
	}
	how.Seed = bench.DrawSeed(how.Seed) // one for both
	for _, side := range compare.Sides {
		if err := study.NewSuite(suite, filepath.Join(dir, side), how); err != nil {
			return errors.Join(err, os.RemoveAll(dir)) // there is nothing in it but what was laid out
		}
	}
	return nil
}

// begun says whether a folder is one of bench --aa.
func begun(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, compare.Sides[0], "suite.json"))
	return dir != "" && err == nil
}

// run runs both sides and writes the envelope.
func (f aa) run(cmd *cobra.Command, dir string) error {
	ctx, spoilt := cmd.Context(), error(nil)
	for i, side := range compare.Sides {
		fmt.Fprintf(os.Stderr, "side %s, %d of %d\n", side, i+1, len(compare.Sides))
		runs, err := f.suite(cmd, filepath.Join(dir, side))
		if err == nil {
			err = finishSuite(ctx, io.Discard, filepath.Join(dir, side), runs.Results)
		}
		if err != nil {
			return err
		}
		spoilt = errors.Join(spoilt, whatNext(runs, "bench", dir))
	}
	e, err := compare.MakeEnvelope(ctx, dir)
	if err == nil {
		err = writeAll(dir, map[string]func(io.Writer) error{compare.EnvelopeFile: record.JSON(e)})
	}
	if err == nil {
		err = f.print(cmd.OutOrStdout(), e, func() string {
			return e.Text() + fmt.Sprintf("\nfiles: %s (%s; 'leasestorm compare A B --envelope %s' takes it)\n", dir, compare.EnvelopeFile, dir)
		})
	}
	return errors.Join(err, spoilt)
}
