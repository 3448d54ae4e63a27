package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/plot"
)

func benchCommand() *cobra.Command {
	var (
		opts bench.Options
		out  string
	)
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "run the suite, print a table and draw the figures",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if out == "" {
				out = filepath.Join("results", time.Now().UTC().Format("20060102T150405Z")+"-"+hostName())
			}
			opts.Progress = os.Stderr
			all, err := bench.RunSuite(cmd.Context(), out, opts)
			if len(all) > 0 {
				fmt.Fprint(cmd.OutOrStdout(), bench.Table(all))
			}
			if err != nil {
				return err
			}
			figures, err := plot.Draw(out)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "\nfiles: %s\n", out)
			for _, f := range figures {
				fmt.Fprintf(cmd.OutOrStdout(), "figure: %s.svg, .png\n", filepath.Join(out, f))
			}
			return nil
		},
	}
	cmd.Flags().IntVar(&opts.Workers, "workers", 0, "worker threads; 0: one a physical core, less the generator's")
	cmd.Flags().Uint64Var(&opts.Seed, "seed", 1, "seed of all randomness")
	cmd.Flags().StringVar(&out, "out", "", "folder to make (default results/<time>-<host>)")
	return cmd
}

func hostName() string {
	name, err := os.Hostname()
	if err != nil || name == "" {
		return "unknown"
	}
	return name
}

func plotCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "plot DIR",
		Short: "draw the figures of a folder's runs again, from their files alone",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage(fmt.Errorf("plot takes one folder, not %d", len(args)))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			figures, err := plot.Draw(args[0])
			for _, f := range figures {
				fmt.Fprintf(cmd.OutOrStdout(), "%s.svg\n%s.png\n", filepath.Join(args[0], f), filepath.Join(args[0], f))
			}
			return err
		},
	}
}
