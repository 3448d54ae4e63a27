package table

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/leasestorm/leasestorm/cmd/leasestorm/cli"
)

// Flag adds --etcd, which sets Endpoint.
func Flag(flags *pflag.FlagSet) {
	flags.Func("etcd", "URL of the etcd on this host for --table etcd, as in http://127.0.0.1:2379 (default: a member that each table starts for itself)", func(text string) error {
		if err := allowed(text); err != nil {
			return err
		}
		Endpoint = text
		return nil
	})
}

// allowed is an error unless the text is the URL of an etcd on loopback. A surge loads it as much as it can.
func allowed(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" || u.Port() == "" || u.Path != "" && u.Path != "/" || u.User != nil || u.RawQuery != "" {
		return fmt.Errorf("%q: want http://127.0.0.1:PORT", text)
	}
	if ip := net.ParseIP(u.Hostname()); (ip == nil || !ip.IsLoopback()) && u.Hostname() != "localhost" {
		return fmt.Errorf("%s is not on loopback: a surge may take an etcd down that others need: forward a port of this host to it", u.Host)
	}
	return nil
}

// Compare is the verb that measures tables side by side.
func Compare() *cobra.Command {
	o := Options{Say: func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }}
	var out string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "tables",
		Short: "measure lease tables here and in other processes side by side",
		Long: `Measures renewals, new grants and the end of many leases that lapse at once, for tables of this process, the
lockfree table behind gRPC, and etcd. From the calls it computes, in virtual time, the time to recovery of a
surge that etcd can carry: two in five leases broken, checks every 5 s, the deadline discipline.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Leases < batch || o.Leases > 10_000 {
				return cli.Usage(fmt.Errorf("--leases %d is out of range: %d to 10000, which is what etcd takes", o.Leases, batch))
			}
			if o.Rounds < 1 || o.Rounds > 1000 || o.Length < time.Millisecond {
				return cli.Usage(fmt.Errorf("--rounds %d of --length %v: want 1 to 1000 rounds of 1ms or more", o.Rounds, o.Length))
			}
			rows, err := Measure(cmd.Context(), o)
			if err != nil {
				return err
			}
			if out != "" {
				if err := write(out, rows); err != nil {
					return err
				}
			}
			if asJSON {
				e := json.NewEncoder(cmd.OutOrStdout())
				e.SetIndent("", "  ")
				return e.Encode(rows)
			}
			_, err = io.WriteString(cmd.OutOrStdout(), Text(rows))
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&o.Tables, "table", Tables, "lease table to measure; may be given several times")
	flags.IntVar(&o.Leases, "leases", 2000, "N, leases in each table")
	flags.IntVar(&o.Rounds, "rounds", 5, "measurements of each rate, interleaved")
	flags.DurationVar(&o.Length, "length", 200*time.Millisecond, "length of a measurement")
	flags.Uint64Var(&o.Seed, "seed", 1, "seed of the order of measurements and of the surge")
	flags.StringVar(&out, "out", "", "folder to make for tables.json, tables.svg and tables.png")
	flags.BoolVar(&asJSON, "json", false, "print the rows as JSON")
	return cmd
}

// write makes the folder with the rows and their figure.
func write(dir string, rows []Row) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	text, err := json.MarshalIndent(rows, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "tables.json"), append(text, '\n'), 0o644); err != nil {
		return err
	}
	return Draw(dir, rows)
}

// Text returns the rows as a table for a person.
func Text(rows []Row) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "table\trenewals/s\textremes\t64 a call/s\tregrants/s\tleast TTL (s)\tleases that lapse\tended in (s)\tβ\tTTR (s)")
	for i := range rows {
		r := &rows[i]
		ttr := string(r.Verdict)
		if r.TTR != nil {
			ttr = fmt.Sprintf("%.2f", *r.TTR)
		}
		fmt.Fprintf(w, "%s\t%.3g\t%.3g–%.3g\t%.3g\t%.3g\t%.3g\t%d\t%.3g\t%.3g\t%s\n", r.Table, r.Renew.PerSecond, r.Renew.Low, r.Renew.High,
			r.Batch.PerSecond, r.Anew.PerSecond, r.TTL, r.Lapsed, r.Expiry, r.Beta, ttr)
	}
	_ = w.Flush() // into a Builder, which takes all
	return b.String()
}
