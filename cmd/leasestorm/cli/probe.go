package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/record"
	"github.com/leasestorm/leasestorm/bench/scenario"
)

func probeCommand() *cobra.Command {
	var (
		f      serviceFlags
		set    []string
		seed   uint64
		write  string
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "probe URL [SCENARIO]",
		Short: "find the capacity of a service of yours, and write it into a scenario",
		Long: `Measures a service with a short ramp: 1, 2, 4 … clients at a time establish leases and then check them,
a second each, until the rate grows no more, answers take a quarter of the timeout, or a tenth of
them is not good. It prints capacity, σ, the workers and, for the scenario's leases and interval, ρ
and β. --write keeps them as a scenario for the other studies:

  leasestorm probe http://127.0.0.1:8080/lease surge --set leases=5000 --set broken=4000 --write mine.toml
  leasestorm border mine.toml
  leasestorm storm http://127.0.0.1:8080/lease mine.toml

A service that is not on loopback is refused unless --i-may-load-this names its host.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 2 {
				return usage(fmt.Errorf("probe takes a URL and a scenario, not %d arguments: leasestorm probe http://127.0.0.1:8080/lease surge", len(args)))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.url != "" {
				return usage(errors.New("probe names the service first: leasestorm probe URL; leave out --target"))
			}
			f.url, f.outage = args[0], "none"
			name := "surge"
			if len(args) == 2 {
				name = args[1]
			}
			for _, a := range set {
				key, _, _ := strings.Cut(a, "=")
				if why := bench.Foreign(key, true); why != "" {
					return usage(fmt.Errorf("--set %s: probe finds it: %s", key, why))
				}
			}
			s, err := scenario.Load(name)
			if err == nil {
				err = s.Set(set...)
			}
			if err != nil {
				return usage(err)
			}
			service, err := f.service()
			if err != nil {
				return err
			}
			if !service.Client.Prime {
				return usage(errors.New("--call prime: probe measures the service, which is what priming is"))
			}
			if err := free(write); err != nil {
				return usage(err)
			}
			p, err := bench.ProbeService(cmd.Context(), service, s, seed)
			if p != nil && (err == nil || len(p.Checks) > 0) {
				text := record.Text(p.Text())
				if asJSON {
					text = func(w io.Writer) error { return printJSON(w, p, record.JSON) }
				}
				err = errors.Join(err, text(cmd.OutOrStdout()))
			}
			if err != nil {
				return badScenario(err)
			}
			if write != "" {
				file, err := writeNew(write, p.Scenario)
				if err != nil {
					return err
				}
				fmt.Fprintf(os.Stderr, "written: %s; 'leasestorm border %s' tells how far this service is from the cliff\n", file, file)
			}
			return nil
		},
	}
	f.add(cmd)
	hide(cmd, "target")
	cmd.Flags().StringArrayVar(&set, "set", nil, "set a key of the scenario, as in --set leases=5000")
	cmd.Flags().Uint64Var(&seed, "seed", 1, "seed of the droplets that ask; 0: a random one")
	cmd.Flags().StringVar(&write, "write", "", "file (.toml) to write the scenario to, with what was found")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the result as one JSON object on stdout, and nothing else there")
	return cmd
}
