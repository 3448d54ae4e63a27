package cli

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/leasestorm/leasestorm/bench/compare"
	"github.com/leasestorm/leasestorm/bench/gate"
	"github.com/leasestorm/leasestorm/bench/record"
)

// exitFailedGate is the status of a gate at which a requirement fails.
const exitFailedGate = 3

// gateFlags are the flags of gate.
type gateFlags struct {
	sides
	required []string
	worse    string
	asJSON   bool
}

func gateCommand() *cobra.Command {
	f := gateFlags{}
	cmd := &cobra.Command{
		Use:   "gate DIR | gate A B",
		Short: "hold the runs in a result folder to requirements, or to those of a base",
		Long: `gate DIR holds the runs in a folder to requirements: those of --require, and those that their scenarios
have under the key require. A requirement is a contestant (none: all), a time window (none: the whole
run) and conditions, of which each must hold for every valid run:

  queue=deadline: verdict==recovered, ttr<8s, wasted_work<5%
  queue=deadline: from 2τ after the return: establish goodput >= 60 %
  share(recovered)>=0.9, p50(ttr)<8s

share(…) is the share of the runs for which the condition holds. p50 and other percentiles, min, max
and mean take the runs together. A run that did not come back has a ttr above any limit. A window
without an end lasts until the recovery, or until the end of a run that has none. A goodput in per
cent is a share of capacity.

gate A B compares B with the base A, as 'leasestorm compare' does. It fails if a measure is worse by
more than --worse-than and the difference is real.

  leasestorm gate DIR --require 'queue=deadline: verdict==recovered, ttr<8s'
  leasestorm gate base change --worse-than 5%

Exit status:
  0  all holds
  1  failed: nothing in the folder can be read, or a damaged part is needed
  2  a requirement does not parse, or no contestant matches
  3  a requirement does not hold; the output says which
  4  a run is invalid or missing, or a contestant has too few runs, and nothing else fails`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 && len(args) != 2 {
				return usage(fmt.Errorf("gate takes one folder, or two with --worse-than, not %d", len(args)))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 2 {
				return f.against(cmd, args[0], args[1])
			}
			return f.hold(cmd, args[0])
		},
	}
	cmd.Flags().StringArrayVar(&f.required, "require", nil, "a requirement; may be repeated")
	cmd.Flags().StringVar(&f.worse, "worse-than", "", "with a base: the largest change for the worse, as in 5%; for a measure that is a share, in points")
	f.add(cmd)
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print the result as one JSON object on stdout, and nothing else there")
	return cmd
}

// only refuses flags that the other form takes.
func (f *gateFlags) only(cmd *cobra.Command, why string, names ...string) (err error) {
	cmd.Flags().Visit(func(flag *pflag.Flag) {
		for _, n := range names {
			if flag.Name == n {
				err = cmp.Or(err, usage(fmt.Errorf("--%s %s", n, why)))
			}
		}
	})
	return err
}

func (f *gateFlags) hold(cmd *cobra.Command, dir string) error {
	if err := f.only(cmd, "compares with a base: gate takes two folders then", "worse-than", "anyway", "measure", "envelope"); err != nil {
		return err
	}
	r, err := gate.Folder(cmd.Context(), dir, f.required)
	if errors.Is(err, gate.ErrRequirement) || errors.Is(err, gate.ErrNoMatch) {
		return usage(err)
	}
	if err != nil {
		return err
	}
	text := r.Text()
	if f.asJSON {
		err = printJSON(cmd.OutOrStdout(), r, record.JSON)
	} else {
		err = record.Text(text)(cmd.OutOrStdout())
	}
	switch failed, spoilt := r.Failed(), append(r.Invalid, r.Problems...); {
	case err != nil:
		return err
	case len(failed) > 0:
		return &exitError{exitFailedGate, fmt.Errorf("%d of %d requirements do not hold; the first: %s", len(failed), len(r.Checks), failed[0].Line())}
	case len(spoilt) > 0:
		return &exitError{exitInvalid, fmt.Errorf("%d runs are invalid, damaged or missing; the first: %s", len(spoilt), spoilt[0])}
	}
	return nil
}

func (f *gateFlags) against(cmd *cobra.Command, a, b string) error {
	if err := f.only(cmd, "is about one folder: leave it out with a base", "require"); err != nil {
		return err
	}
	number, percent := strings.CutSuffix(strings.TrimSpace(f.worse), "%")
	most, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil || !percent || !(most >= 0 && most <= 1e6) {
		return usage(fmt.Errorf("--worse-than %q: with a base, want the largest change for the worse, as in 5%%", f.worse))
	}
	c, err := f.compare(cmd.Context(), a, b)
	if err != nil {
		return err
	}
	blind, all := c.Blind()
	if all {
		return usage(fmt.Errorf("so few runs cannot show any difference in %d tests: make %d a side (--seeds %d), or name fewer measures (--measure ttr)", c.Tests, compare.LeastRuns, compare.LeastRuns))
	}
	if err := printComparison(cmd.OutOrStdout(), c, f.asJSON); err != nil {
		return err
	}
	switch worse := c.Regressions(most / 100); {
	case len(worse) > 0:
		return &exitError{exitFailedGate, fmt.Errorf("%d of %d measures are worse by more than %s; the first: %s", len(worse), len(c.Rows), f.worse, worse[0].Line())}
	case len(blind) > 0:
		return &exitError{exitInvalid, fmt.Errorf("too few valid runs of %s to show any difference in %d tests: make %d a side (--seeds %d)", strings.Join(blind, ", "), c.Tests, compare.LeastRuns, compare.LeastRuns)}
	case len(c.OnlyA) > 0:
		return &exitError{exitInvalid, fmt.Errorf("no valid run in %s: %s", c.B, strings.Join(c.OnlyA, ", "))}
	case len(c.Problems) > 0:
		return &exitError{exitInvalid, fmt.Errorf("runs are invalid, damaged or missing: %s", c.Problems[0])}
	case f.asJSON:
		return nil
	}
	return record.Text(fmt.Sprintf("ok: of %d measures none is worse by more than %s\n", len(c.Rows), f.worse))(cmd.OutOrStdout())
}
