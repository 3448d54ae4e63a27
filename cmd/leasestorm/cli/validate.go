package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/leasestorm/leasestorm/bench/oracle"
)

// exitDisagrees is the status of a validation in which a row fails.
const exitDisagrees = 3

func validateCommand() *cobra.Command {
	var (
		m        oracle.Model
		arrivals int
		seed     uint64
		asJSON   bool
	)
	cmd := &cobra.Command{
		Use:   "validate",
		Short: "check the virtual engine against closed forms of queueing theory",
		Long: `Runs queues with known closed forms (M/M/c, M/D/1, M/G/1 with a lognormal, M/M/c/K, M/M/1 with
impatient customers; Little's law on each) on the virtual engine and compares. A tolerance is the
99.9 % interval of batch means. Exit status 3 where a row fails.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			models := oracle.Defaults()
			if m.Name != "" {
				models = []oracle.Model{m}
			}
			var rows []oracle.Row
			for _, m := range models {
				r, err := oracle.Measure(cmd.Context(), m, arrivals, seed)
				if errors.Is(err, oracle.ErrModel) {
					return usage(err)
				}
				if err != nil {
					return err
				}
				rows = append(rows, r...)
			}
			return printRows(cmd.OutOrStdout(), rows, asJSON)
		},
	}
	cmd.Flags().StringVar(&m.Name, "model", "", "one model: mmc, md1, mg1, mmck, impatient (default: all, with several parameters each)")
	cmd.Flags().IntVar(&m.Servers, "servers", 1, "servers")
	cmd.Flags().Float64Var(&m.Rho, "rho", 0.8, "offered load over capacity")
	cmd.Flags().IntVar(&m.K, "k", 10, "places of mmck, in service included")
	cmd.Flags().Float64Var(&m.CV, "cv", 2, "coefficient of variation of mg1's service")
	cmd.Flags().Float64Var(&m.Timeout, "timeout", 10, "how long impatient customers wait, in mean services")
	cmd.Flags().IntVar(&arrivals, "arrivals", 1_000_000, "customers a model")
	cmd.Flags().Uint64Var(&seed, "seed", 1, "seed of all randomness")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one row an object, a line each")
	return cmd
}

func printRows(w io.Writer, rows []oracle.Row, asJSON bool) error {
	failed := 0
	e := json.NewEncoder(w)
	if !asJSON {
		fmt.Fprintf(w, "%-34s %-22s %12s %12s %12s %12s\n", "model", "quantity", "measured", "theory", "difference", "tolerance")
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
		fmt.Fprintf(w, "%-34s %-22s %12.6f %12.6f %+12.6f %12.6f  %s\n", r.Params, r.Quantity, r.Measured, r.Theory, r.Measured-r.Theory, r.Tolerance, verdict)
	}
	if failed > 0 {
		return &exitError{exitDisagrees, fmt.Errorf("%d of %d quantities disagree with theory", failed, len(rows))}
	}
	return nil
}
