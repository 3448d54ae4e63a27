package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/oracle"
)

// exitDisagrees is the status of a validation in which a row fails.
const exitDisagrees = 3

func validateCommand() *cobra.Command {
	var (
		m        oracle.Model
		arrivals int
		which    string
		length   time.Duration
		seed     uint64
		asJSON   bool
		engines  bool
		set      []string
	)
	cmd := &cobra.Command{
		Use:   "validate",
		Short: "check both engines against closed forms of queueing theory",
		Long: `Runs queues with known closed forms (M/M/c, M/D/1, M/G/1 with a lognormal, M/M/c/K, M/M/1 with
impatient customers, the machine repairman; Little's law on each) and compares: on the virtual
engine, and, with one worker and at the load that was measured, on the host's clock. A tolerance
is the 99.9 % interval of batch means. Exit status 3 where a row fails; on a shared host, whose
gaps are waits as well, the real engine's may.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !slices.Contains([]string{"virtual", "real", "both"}, which) {
				return usage(fmt.Errorf("--engine %q: want virtual, real or both", which))
			}
			if length <= 0 || length > time.Hour {
				return usage(fmt.Errorf("--length %v is out of range: above 0, up to 1h", length))
			}
			if engines {
				return compareEngines(cmd, seed, set, asJSON)
			}
			var rows []oracle.Row
			for _, e := range []struct {
				name    string
				models  []oracle.Model
				measure func(oracle.Model) ([]oracle.Row, error)
			}{
				{"virtual", oracle.Defaults(), func(m oracle.Model) ([]oracle.Row, error) {
					return oracle.Measure(cmd.Context(), m, arrivals, seed)
				}},
				{"real", oracle.RealDefaults(), func(m oracle.Model) ([]oracle.Row, error) {
					return oracle.MeasureReal(cmd.Context(), m, length, seed)
				}},
			} {
				if which != "both" && which != e.name {
					continue
				}
				if m.Name != "" {
					e.models = []oracle.Model{m}
				}
				for _, m := range e.models {
					r, err := e.measure(m)
					if errors.Is(err, oracle.ErrModel) {
						return usage(err)
					}
					if err != nil && len(rows) == 0 {
						return err
					}
					if err != nil { // the rows that there are hold
						return errors.Join(err, printRows(cmd.OutOrStdout(), rows, asJSON))
					}
					rows = append(rows, r...)
				}
			}
			return printRows(cmd.OutOrStdout(), rows, asJSON)
		},
	}
	cmd.Flags().StringVar(&m.Name, "model", "", "one model: mmc, md1, mg1, mmck, impatient, repairman (default: all, with several parameters each)")
	cmd.Flags().StringVar(&which, "engine", "both", "virtual, real or both")
	cmd.Flags().DurationVar(&length, "length", 3*time.Second, "length of a model's run on the real engine")
	cmd.Flags().Float64Var(&m.Think, "think", 8, "how long the repairman's customers think, in mean services")
	cmd.Flags().IntVar(&m.Servers, "servers", 1, "servers")
	cmd.Flags().Float64Var(&m.Rho, "rho", 0.8, "offered load over capacity")
	cmd.Flags().IntVar(&m.K, "k", 10, "places of mmck, in service included; customers of repairman")
	cmd.Flags().Float64Var(&m.CV, "cv", 2, "coefficient of variation of mg1's service")
	cmd.Flags().Float64Var(&m.Timeout, "timeout", 10, "how long impatient customers wait, in mean services")
	cmd.Flags().IntVar(&arrivals, "arrivals", 1_000_000, "customers a model")
	cmd.Flags().Uint64Var(&seed, "seed", 1, "seed of all randomness")
	cmd.Flags().BoolVar(&engines, "engines", false, "compare the engines with each other instead: built-in scenarios on both, the virtual one with the service times that the real one measured (three minutes)")
	cmd.Flags().StringArrayVar(&set, "set", nil, "with --engines: set a key of all scenarios, as in --set leases=200000")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one row an object, a line each")
	return cmd
}

// compareEngines prints a line a scenario as it comes.
func compareEngines(cmd *cobra.Command, seed uint64, set []string, asJSON bool) error {
	out := cmd.OutOrStdout()
	e := json.NewEncoder(out)
	if !asJSON {
		if _, err := fmt.Fprint(out, bench.EnginesHead()); err != nil {
			return err
		}
	}
	all, err := bench.CompareEngines(cmd.Context(), bench.Options{Seed: seed}, set, func(p bench.EnginePair) {
		if asJSON {
			_ = e.Encode(p)
			return
		}
		fmt.Fprint(out, p.Text())
	})
	if err != nil {
		return badScenario(err)
	}
	differ := 0
	for _, p := range all {
		if !p.Agree && p.Because == "" {
			differ++
		}
	}
	if differ > 0 {
		return &exitError{exitDisagrees, fmt.Errorf("%d of %d verdicts differ", differ, len(all))}
	}
	return nil
}

func printRows(w io.Writer, rows []oracle.Row, asJSON bool) error {
	failed := 0
	e := json.NewEncoder(w)
	if !asJSON {
		fmt.Fprintf(w, "%-8s %-34s %-22s %12s %12s %12s %12s\n", "engine", "model", "quantity", "measured", "theory", "difference", "tolerance")
	}
	for _, r := range rows {
		verdict := "pass"
		if !r.Pass {
			verdict = "FAIL"
			failed++
		}
		if asJSON {
			if err := e.Encode(r); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(w, "%-8s %-34s %-22s %12.6f %12.6f %+12.6f %12.6f  %s\n", r.Engine, r.Params, r.Quantity, r.Measured, r.Theory, r.Measured-r.Theory, r.Tolerance, verdict)
	}
	if failed > 0 {
		return &exitError{exitDisagrees, fmt.Errorf("%d of %d quantities disagree with theory", failed, len(rows))}
	}
	return nil
}
