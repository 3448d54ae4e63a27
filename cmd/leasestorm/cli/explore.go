package cli

import (
	"fmt"

	"github.com/spf13/cobra"

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
	flags.BoolVar(&asJSON, "json", false, "print the report as one JSON object on stdout, and nothing else there")
	return cmd
}
