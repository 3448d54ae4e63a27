package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/incident"
	"github.com/leasestorm/leasestorm/bench/incident/dependency"
	"github.com/leasestorm/leasestorm/bench/incident/dns"
	"github.com/leasestorm/leasestorm/bench/incident/operator"
	"github.com/leasestorm/leasestorm/bench/scenario"
)

// dayFlags are the flags of a replay beside those of its managers.
type dayFlags struct {
	shared
	partitions                int
	mends, race, cause, form  string
	keep                      int
	lb                        []string
	client, failure, evacuate string
	static, circles, hedge    bool
	regions                   int
	runbook                   string
	counterfactuals           bool
}

func incidentCommand() *cobra.Command {
	f := dayFlags{shared: shared{fallback: "incident", breaks: true, watched: true, refuses: map[string]string{
		"broken":      "how many leases lapse follows from how long the name is empty and how long connections live",
		"contestants": "a replay has one set of managers, which --queue, --admit and --retry name; 'leasestorm rank incident' compares many under the scripted trigger",
		"engine":      "a replay of 14 hours runs in virtual time; 'make incident-live' has the parts as real software",
		"idle":        "nobody is idle in virtual time",
		"redo":        "in virtual time no host spoils a run",
		"no-wait":     "in virtual time nothing waits for a quiet host",
		"duration":    "the replay ends at 15:00",
		"max-queue":   "the queues of that night were long: a limit would end the day",
	}}}
	cmd := &cobra.Command{
		Use:   "incident [SCENARIO]",
		Short: "replay the outage of 20 October 2025 from its own cause, on the day's own clock",
		Long: `Replays the outage from 23:30 to 15:00 in virtual time: three DNS enactors and their race, the empty
name, clients with caches and open connections, the lease managers in partitions, the network
manager, the load balancers, 140 services, and the operator's runbook with the public times.

A table lays the public timeline beside the replay's, and says of each row whether it is an input,
calibrated, or emergent. With a flag that changes the day, the figure shows both.

The scenario gives the managers' leases, times, costs, queue and admission control. Its trigger is
not used: the replay has its own.`,
	}
	flags := cmd.Flags()
	flags.IntVar(&f.partitions, "partitions", 24, "lease managers, each with a part of the leases")
	flags.StringVar(&f.mends, "dns-mend", "", "mend of the DNS automation: "+dns.MendNames()+"; several with commas")
	flags.StringVar(&f.race, "race", "scripted", "scripted: an enactor is delayed so that the race happens at 23:48; drawn: left to chance")
	flags.StringVar(&f.cause, "delay", "lock", "why the enactor is late: lock (it loses the endpoint's lock again and again) or slow")
	flags.StringVar(&f.form, "clean-up", "delete-active", "what empties the name: delete-active (the tree that is active is deleted) or apply-emptied (a plan that was emptied is applied)")
	flags.IntVar(&f.keep, "keep", dns.Default().Keep, "plans that the clean-up keeps")
	flags.StringSliceVar(&f.lb, "lb", nil, "load balancers: velocity (a limit on what fail-over removes), fail-over-off")
	flags.BoolVar(&f.static, "static-stability", false, "services go on with the last known answer")
	flags.BoolVar(&f.circles, "break-circles", false, "no service needs itself by way of others")
	flags.IntVar(&f.regions, "regions", 1, "2: clients can go to another region")
	flags.StringVar(&f.client, "client", string(dependency.Before), "the SDK's retries: "+string(dependency.Before)+" or "+string(dependency.Since))
	flags.StringVar(&f.failure, "failure", string(dependency.Empty), "what a look-up of the name gives: empty, servfail, silent, refused")
	flags.BoolVar(&f.hedge, "hedge", false, "each look-up goes to two resolvers with caches of their own")
	flags.StringVar(&f.evacuate, "evacuate", "", `time of day at which "Connection: close" ends all open connections, as in 00:50`)
	flags.StringVar(&f.runbook, "runbook", "day", "what the operator does: "+strings.Join(operator.Names(), ", ")+", or a TOML file")
	flags.BoolVar(&f.counterfactuals, "counterfactuals", false, "try each change alone, and each pair of those that do not stop the day, over --seeds seeds")
	cmd.RunE = f.run
	f.add(cmd, "virtual", 1)
	cmd.AddCommand(exploreCommand())
	return cmd
}

// config is the day as the flags have it, with these managers.
func (f *dayFlags) config(cmd *cobra.Command, manager scenario.Scenario) (incident.Config, error) {
	c, err := incident.Default()
	if err != nil {
		return c, err
	}
	c.Manager = manager
	if !f.counterfactuals && cmd.Flags().Changed("seeds") {
		return c, usage(errors.New("--seeds goes with --counterfactuals: one replay has one --seed"))
	}
	c.Seed, c.Partitions = bench.DrawSeed(f.opts.Seed), f.partitions
	bad := func(flag, value, want string) error { return usage(fmt.Errorf("--%s %q: want %s", flag, value, want)) }
	if c.DNS.Mends, err = dns.ParseMends(f.mends); err != nil {
		return c, usage(fmt.Errorf("--dns-mend: %w", err))
	}
	switch f.race {
	case "drawn":
		c.DNS.RaceAt = 0
	case "scripted":
	default:
		return c, bad("race", f.race, "scripted or drawn")
	}
	c.DNS.Cause, c.DNS.Form, c.DNS.Keep = dns.Cause(f.cause), dns.Form(f.form), f.keep
	if err := c.DNS.Validate(); err != nil {
		return c, usage(err)
	}
	for _, lb := range f.lb {
		switch lb {
		case "velocity":
			c.Balancer.Velocity = true
		case "fail-over-off":
			c.Balancer.FailOverOff = true
		default:
			return c, bad("lb", lb, "velocity or fail-over-off")
		}
	}
	if f.regions != 1 && f.regions != 2 {
		return c, bad("regions", fmt.Sprint(f.regions), "1 or 2")
	}
	c.Options.StaticStability, c.Options.BrokenCircle, c.Options.Regions = f.static, f.circles, f.regions
	c.Client.Retries, c.Client.Failure, c.Client.Hedge = dependency.Retries(f.client), dependency.Failure(f.failure), f.hedge
	if f.evacuate != "" {
		if c.Client.CloseAt, err = operator.At(f.evacuate); err != nil {
			return c, usage(fmt.Errorf("--evacuate: %w", err))
		}
	}
	if err := c.Client.Validate(); err != nil {
		return c, usage(err)
	}
	if c.Runbook, err = operator.Load(f.runbook); err != nil {
		return c, usage(err)
	}
	return c, nil
}

func (f *dayFlags) run(cmd *cobra.Command, args []string) error {
	defer func() { f.view.close() }()
	if f.counterfactuals || f.resume != "" {
		return f.cheese(cmd, args)
	}
	if err := here(cmd, "goes with --counterfactuals: one replay is one process's"); err != nil {
		return err
	}
	manager, err := f.load(cmd, args)
	if err != nil {
		return badScenario(err)
	}
	c, err := f.config(cmd, manager)
	if err == nil {
		err = f.open(cmd)
	}
	if err != nil {
		return badScenario(err)
	}
	c.Progress, c.Live = f.view, f.view.Live
	f.tell(&c.Manager)
	res, err := incident.Replay(cmd.Context(), c)
	if err != nil {
		return badScenario(err)
	}
	var day *incident.Result
	if c.Changed() && f.out != "none" {
		was, err := c.AsItWas()
		if err != nil {
			return err
		}
		fmt.Fprintln(f.view, "the day as it was, to compare")
		if day, err = incident.Replay(cmd.Context(), was); err != nil {
			return badScenario(err)
		}
	}
	f.view.settle()
	if f.out == "none" {
		return f.print(cmd.OutOrStdout(), res, res.Text)
	}
	err = fresh(f.out, func(dir string) error { return res.Save(dir, &c, day) }, "incident")
	if err != nil {
		return err
	}
	var drawn strings.Builder
	err = drawAll(cmd.Context(), &drawn, res.Folder)
	return errors.Join(f.print(cmd.OutOrStdout(), res, func() string {
		return res.Text() + fmt.Sprintf("\nfiles: %s\n", res.Folder) + drawn.String()
	}), err)
}

// cheese makes the table of counterfactuals, or goes on with it.
func (f *dayFlags) cheese(cmd *cobra.Command, args []string) error {
	if f.resume == "" && f.listen != "" {
		return usage(errors.New("--listen shows one replay, and --counterfactuals makes hundreds: leave out one of the two"))
	}
	f.as = "counterfactuals"
	return f.begin(cmd, args, func(s *scenario.Scenario) error {
		f.size(cmd, s, 24_000)
		c, err := f.config(cmd, *s)
		if err == nil && c.Changed() {
			err = usage(errors.New("--counterfactuals changes the day itself: leave out what changes it"))
		}
		return err
	}, func(s scenario.Scenario, runner bench.Runner, dir string) error {
		c, err := f.config(cmd, s)
		if err == nil {
			err = f.open(cmd)
		}
		if err != nil {
			return err
		}
		c.Progress = f.view
		table, err := incident.Counterfactuals(cmd.Context(), runner, c, incident.Layers, max(1, f.seeds))
		if err != nil {
			return resumable(err)
		}
		return f.save(cmd.Context(), cmd.OutOrStdout(), dir, table, table.Text)
	})
}
