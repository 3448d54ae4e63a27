package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/incident/dns"
	"github.com/leasestorm/leasestorm/bench/incident/explore"
	"github.com/leasestorm/leasestorm/bench/record"
)

// exploreCommand searches for the race.
func exploreCommand() *cobra.Command {
	c := explore.Default()
	var (
		mends, form string
		asJSON      bool
		chance      bool
		trials      int
		seed        uint64
	)
	cmd := &cobra.Command{
		Use:   "explore",
		Short: "walk every interleaving of the DNS automation: is the race there, does a mend close it",
		Long: `Walks every interleaving of planner, three enactors and clean-up up to a bound, on the state machines
that the replay runs, and prints the shortest schedule to the worst of three violations:

  empty answer        a name has no records
  stuck roll-back     an enactor cannot apply its plan, since it would roll back to nothing
  stale plan applied  an older plan has replaced a newer one

Slowness, locks that are lost or expire, and back-off are free choices: an enactor may rest for any
time before each of its steps. The bound is the number of plans, of endpoints, and of plans that the
clean-up keeps.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if c.Mends, err = dns.ParseMends(mends); err != nil {
				return usage(fmt.Errorf("--dns-mend: %w", err))
			}
			c.Form = dns.Form(form)
			if err := c.Validate(); err != nil {
				return usage(err)
			}
			if chance {
				return chances(cmd, c.Rules, trials, seed, asJSON)
			}
			for _, name := range []string{"trials", "seed"} {
				if cmd.Flags().Changed(name) {
					return usage(fmt.Errorf("--%s goes with --chance: the search itself draws nothing", name))
				}
			}
			r, err := explore.Explore(cmd.Context(), c)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), r, record.JSON)
			}
			return record.Text(r.Text())(cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&mends, "dns-mend", "", "mend of the automation: "+dns.MendNames()+"; several with commas")
	flags.StringVar(&form, "clean-up", string(c.Form), "what empties the name: delete-active or apply-emptied")
	flags.IntVar(&c.Plans, "plans", c.Plans, "plans that the planner makes, the one at the start included")
	flags.IntVar(&c.Endpoints, "endpoints", c.Endpoints, fmt.Sprintf("endpoints, 1 to %d", dns.MaxEndpoints))
	flags.IntVar(&c.Keep, "keep", c.Keep, "plans that the clean-up keeps")
	flags.IntVar(&c.Limit, "limit", c.Limit, "states after which the search gives up and says so; 0: none")
	flags.BoolVar(&chance, "chance", false, "instead: the chance of the race over delay, plans a minute and plans kept, with times drawn")
	flags.IntVar(&trials, "trials", 400, "with --chance: trials of each point")
	flags.Uint64Var(&seed, "seed", 1, "with --chance: seed of all randomness; 0: a random one, which is printed")
	flags.BoolVar(&asJSON, "json", false, "print the report as one JSON object on stdout, and nothing else there")
	return cmd
}

// chances prints the map of the race's chance.
func chances(cmd *cobra.Command, rules dns.Rules, trials int, seed uint64, asJSON bool) error {
	for _, name := range []string{"plans", "keep", "limit"} {
		if cmd.Flags().Changed(name) {
			return usage(fmt.Errorf("--%s bounds the search: with --chance plans and plans kept are the map's own", name))
		}
	}
	if trials < 1 || trials > 1_000_000 {
		return usage(fmt.Errorf("--trials %d is out of range: 1 to 1000000", trials))
	}
	cfg := dns.Default()
	cfg.Seed = bench.DrawSeed(seed)
	cfg.Endpoints, cfg.Form, cfg.Mends = rules.Endpoints, rules.Form, rules.Mends
	var delays []time.Duration
	for _, minutes := range []int{1, 2, 5, 10, 20, 40} {
		delays = append(delays, time.Duration(minutes)*time.Minute)
	}
	cells, err := dns.Chances(cfg, delays, []int{3, 5, 10}, []float64{0.5, 1, 2}, trials)
	if err != nil {
		return usage(err)
	}
	if asJSON {
		return printJSON(cmd.OutOrStdout(), map[string]any{"seed": cfg.Seed, "dns_mend": rules.Mends.String(), "clean_up": rules.Form, "cells": cells}, record.JSON)
	}
	return record.Text(dns.ChanceText(cells, cfg.Seed))(cmd.OutOrStdout())
}
