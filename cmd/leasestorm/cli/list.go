package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/leasestorm/leasestorm/bench/scenario"
	"github.com/leasestorm/leasestorm/lease"
	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/admit"
	"github.com/leasestorm/leasestorm/queue/catalog"
)

func listCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "list tables, disciplines, controllers, retry policies and scenarios, with their sources",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			w := cmd.OutOrStdout()
			list(w, "lease tables (--table)", lease.Catalog.List())
			list(w, "queue disciplines (--queue)", queue.Catalog.List())
			list(w, "queue wrappers (--queue WRAPPER+DISCIPLINE)", queue.Wrappers.List())
			list(w, "admission controllers (--admit)", admit.Controllers.List())
			list(w, "retry policies (--retry)", admit.Retries.List())
			fmt.Fprintln(w, "scenarios (run SCENARIO)")
			for _, s := range scenario.All() {
				fmt.Fprintf(w, "  %-14s %s\n", s.Name, s.About)
			}
			fmt.Fprintln(w, "\nkeys of a scenario (--set KEY=VALUE)")
			for _, k := range scenario.Keys() {
				fmt.Fprintf(w, "  %-14s %s\n", k.Name, k.Doc)
			}
			return nil
		},
	}
}

func list[F any](w io.Writer, title string, entries []catalog.Entry[F]) {
	fmt.Fprintln(w, title)
	for _, e := range entries {
		only := ""
		if e.HostClock {
			only = " [real engine only: it reads the host's clock]"
		}
		fmt.Fprintf(w, "  %-14s %s%s\n  %14s source: %s\n", e.Name, e.Doc, only, "", e.Source)
		for _, p := range e.Params {
			fmt.Fprintf(w, "  %14s %s=%s: %s (%s)\n", "", p.Name, p.Format(p.Default), p.Doc, p.Bounds())
		}
	}
	fmt.Fprintln(w)
}
