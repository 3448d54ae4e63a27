// Command leasestorm-incident replays the DNS race of 20 October 2025 with real software on this
// host's loopback interface: a name server with signed updates, a store with DynamoDB's HTTP API, and
// the AWS SDK's client. `make incident-live` builds it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit statuses, those of leasestorm.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

// usageError is a mistake in the arguments.
type usageError struct{ error }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	err := root(os.Stdout, os.Stderr).ExecuteContext(ctx)
	stop()
	os.Exit(status(err))
}

// status says what has gone wrong, and returns the exit status.
func status(err error) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(os.Stderr, "leasestorm-incident: interrupted; all servers have ended")
		return exitInterrupted
	}
	fmt.Fprintln(os.Stderr, "leasestorm-incident:", err)
	if _, ok := errors.AsType[usageError](err); ok {
		return exitUsage
	}
	return exitFailed
}

func root(out, progress io.Writer) *cobra.Command {
	cmd := &cobra.Command{
		Use: "leasestorm-incident", Short: "replay the DNS race of 20 October 2025 with real software on loopback",
		SilenceErrors: true, SilenceUsage: true,
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	cmd.AddCommand(liveCommand(out, progress))
	return cmd
}

func liveCommand(out, progress io.Writer) *cobra.Command {
	cfg := defaults()
	var asJSON bool
	cmd := &cobra.Command{
		Use: "live", Short: "the race, the empty answer, and the way back, as requests on the wire", Args: cobra.NoArgs,
		Long: `Replays 23:30 to 06:45 of the day in three minutes. A name server, a store with DynamoDB's HTTP
API and a sample of state checks through the AWS SDK run on loopback, beside a lease manager on this
host's cores, whose droplets find DynamoDB as the sample does. The race empties the name at 23:48 of
the day's clock, the operator restores it at 02:25, and throttles and restarts the manager at 04:14.
With --leases 0 there is no manager, and the replay ends at 03:00.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			lines := out
			if asJSON {
				lines = progress
			}
			sum, err := run(cmd.Context(), cfg, func(text string) { fmt.Fprintln(lines, text) })
			if err != nil {
				return err
			}
			if asJSON {
				e := json.NewEncoder(out)
				e.SetIndent("", "  ")
				return e.Encode(sum)
			}
			_, err = fmt.Fprint(out, sum.text())
			return err
		},
	}
	f := cmd.Flags()
	f.IntVar(&cfg.Seconds, "seconds", cfg.Seconds, "length of the run in seconds, 10 to 3600, to which the day is compressed; 0: 180, or 60 without a manager")
	f.Uint64Var(&cfg.Seed, "seed", cfg.Seed, "seed of the DNS automation's times")
	f.StringVar(&cfg.Mend, "dns-mend", cfg.Mend, "none, or fencing: the name server refuses a plan that others have replaced")
	f.StringVar(&cfg.Metrics, "listen", cfg.Metrics, "HOST:PORT of the metrics for Prometheus; empty: none")
	f.StringVar(&cfg.DNS, "dns", cfg.DNS, "HOST:PORT of the name server, UDP and TCP; port 0: a free one")
	f.StringVar(&cfg.DynamoDB, "dynamodb", cfg.DynamoDB, "URL of another DynamoDB endpoint; empty: the store of this program")
	f.IntVar(&cfg.Clients, "clients", cfg.Clients, "clients of the sample, each with a connection of its own, 1 to 1000")
	f.Float64Var(&cfg.Rate, "rate", cfg.Rate, "sampled state checks per second, 1 to 5000")
	f.StringVar(&cfg.Retries, "client", cfg.Retries, "the SDK's retries: before-2026 or since-2026")
	f.IntVar(&cfg.Leases, "leases", cfg.Leases, "leases of the manager; 0: no manager")
	f.StringVar(&cfg.Queue, "queue", cfg.Queue, "the manager's queue discipline, as in leasestorm run")
	f.StringVar(&cfg.Admit, "admit", cfg.Admit, "the manager's admission controller, as in leasestorm run")
	f.StringVar(&cfg.Retry, "retry", cfg.Retry, "the droplets' retry policy, as in leasestorm run")
	f.IntVar(&cfg.Workers, "workers", cfg.Workers, "the manager's workers; 0: as many as fit beside the generator")
	f.StringVar(&cfg.Operator, "operator-at", cfg.Operator, "PDT time at which the operator throttles and restarts the manager, or none")
	f.BoolVar(&cfg.NoWait, "no-wait", false, "do not wait for a quiet host before the manager is calibrated")
	f.BoolVar(&asJSON, "json", false, "print one JSON object; the timeline goes to stderr")
	return cmd
}
