package cli

import (
	"fmt"
	"maps"

	"github.com/spf13/cobra"

	"github.com/leasestorm/leasestorm/bench"
)

// stormLeases is the number of leases to which a storm scales a larger scenario down, if nobody has said
// how many it is to have: each of them is a request before the run.
const stormLeases = 10_000

func stormCommand() *cobra.Command {
	f := shared{watched: true, fallback: "surge", refuses: map[string]string{
		"engine": "storm is 'run --engine target'", "target": "storm names it first: leasestorm storm URL",
	}}
	maps.Copy(f.refuses, notInARun)
	for _, k := range keyFlags {
		if why := bench.Foreign(k.key, false); why != "" {
			f.refuses[k.flag] = why
		}
	}
	f.refuses["idle"] = "the generator of a storm sleeps between its turns"
	cmd := &cobra.Command{
		Use:   "storm URL [SCENARIO]",
		Short: "run a scenario against a service of yours, to a verdict",
		Long: `Lets the droplets of a scenario ask a service that is not ours, and judges what becomes of their
leases: the same surge, timeouts, retries and verdicts as 'leasestorm run', the same result and files.
Before the run each droplet establishes its lease once, as fast as the service answers: that also
measures the service's capacity. The outage is made by a proxy before the service, or by a command
of yours. Requests, answers, connections and limits are in a TOML file or in keys: docs/client.md.

  leasestorm storm http://127.0.0.1:8080/lease surge --leases 5000 --broken 4000 \
      --set interval=20s --set timeout=1s --outage refuse

A service that is not on loopback is refused unless --i-may-load-this names its host.

Exit status: that of 'leasestorm run'.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			f.url = args[0]
			return f.run(cmd, args[1:])
		},
	}
	f.add(cmd, bench.Target{}.Name(), 1)
	setDefault(cmd, "seed", "0")
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) < 1 || len(args) > 2 {
			return usage(fmt.Errorf("storm takes a URL and a scenario, not %d arguments: leasestorm storm http://127.0.0.1:8080/lease surge", len(args)))
		}
		return nil
	}
	return cmd
}
