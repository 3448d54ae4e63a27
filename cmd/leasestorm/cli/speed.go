package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/archive"
	"github.com/leasestorm/leasestorm/bench/host"
	"github.com/leasestorm/leasestorm/bench/record"
	"github.com/leasestorm/leasestorm/bench/speed"
)

func speedCommand() *cobra.Command {
	var (
		o   speed.Options
		out string
	)
	cmd := &cobra.Command{
		Use:   "speed",
		Short: "measure every table and queue alone, by number of goroutines",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Rounds < 1 || o.Rounds > 1000 {
				return usage(fmt.Errorf("--rounds %d is out of range: 1 to 1000 rounds", o.Rounds))
			}
			if o.Leases < 1 || o.Leases > 1<<31 {
				return usage(fmt.Errorf("--leases %d is out of range: 1 to %d leases", o.Leases, 1<<31))
			}
			cpus := len(host.ReadTopology().CPUs)
			for g := 1; g < cpus; g *= 2 {
				o.Goroutines = append(o.Goroutines, g)
			}
			o.Goroutines = append(o.Goroutines, cpus)
			var folder *record.Folder
			if err := fresh(out, func(dir string) (err error) {
				folder, err = record.Create(dir)
				return err
			}, hostName(), "speed"); err != nil {
				return err
			}
			defer folder.Abandon()
			o.Progress = func(round, rounds int) { fmt.Fprintf(os.Stderr, "round %d of %d\n", round, rounds) }
			rows, err := speed.Measure(cmd.Context(), o)
			if err != nil {
				return err
			}
			err = folder.WriteJSON(archive.SpeedFile, map[string]any{
				"schema": bench.ManifestSchema, "rows": rows, "laws": speed.Laws(rows, o.Seed), "host": host.ReadInfo(), "build": bench.ReadBuildInfo(),
				"leases": o.Leases, "rounds": o.Rounds, "length_s": o.Length.Seconds(), "seed": o.Seed,
			})
			if err == nil {
				err = folder.Write("bench.txt", func(w io.Writer) error {
					_, err := io.Copy(w, strings.NewReader(speed.Benchmarks(rows)))
					return err
				})
			}
			if err == nil {
				err = folder.Commit()
			}
			fmt.Fprint(cmd.OutOrStdout(), speed.Table(rows))
			for _, l := range speed.Laws(rows, o.Seed) {
				fmt.Fprintf(cmd.OutOrStdout(), "%s, %s%s: contention σ %.4f (%.4f to %.4f), coherence κ %.6f (%.6f to %.6f), peak at %.0f goroutines\n",
					l.Work, l.Contestant, map[bool]string{false: ", not pinned"}[l.Pinned], l.Sigma, l.SigmaCI[0], l.SigmaCI[1], l.Kappa, l.KappaCI[0], l.KappaCI[1], l.Peak)
			}
			if err != nil {
				return folder.Keep(err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "\nfiles: %s\n", folder.Path())
			return drawAll(cmd.Context(), cmd.OutOrStdout(), folder.Path())
		},
	}
	cmd.Flags().IntVar(&o.Leases, "leases", 1_000_000, "leases in the tables")
	cmd.Flags().IntVar(&o.Rounds, "rounds", 5, "rounds over all measurements, in shuffled order")
	cmd.Flags().DurationVar(&o.Length, "length", 100*time.Millisecond, "length of one measurement")
	cmd.Flags().Uint64Var(&o.Seed, "seed", 1, "seed of the order and of the places in the tables")
	cmd.Flags().StringVar(&out, "out", "", "folder to make (default results/<time>-<host>-speed)")
	return cmd
}
