package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/leasestorm/leasestorm/bench/incident/operator"
	"github.com/leasestorm/leasestorm/bench/scenario"
	"github.com/leasestorm/leasestorm/docs"
	"github.com/leasestorm/leasestorm/lease"
	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/admit"
	"github.com/leasestorm/leasestorm/queue/catalog"
)

func listCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "list lease tables, disciplines, admission controllers, retry policies, scenarios and keys, with their sources",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			w := cmd.OutOrStdout()
			list(w, "lease tables (--table)", lease.Catalog.List())
			list(w, "queue disciplines (--queue)", queue.Catalog.List())
			list(w, "queue wrappers (--queue WRAPPER+DISCIPLINE)", queue.Wrappers.List())
			list(w, "admission controllers (--admit)", admit.Controllers.List())
			list(w, "Retry-After estimators (--admit CONTROLLER+ESTIMATOR)", admit.Estimators.List())
			list(w, "retry policies (--retry)", admit.Retries.List())
			fmt.Fprintln(w, "scenarios (run SCENARIO)")
			for _, s := range scenario.All() {
				fmt.Fprintf(w, "  %-14s %s\n", s.Name, s.About)
			}
			fmt.Fprintln(w, "\nrunbooks of the day (incident --runbook)")
			for _, name := range operator.Names() {
				b, err := operator.Load(name)
				if err != nil {
					return err
				}
				fmt.Fprintf(w, "  %-14s %s\n", name, b.About)
			}
			fmt.Fprint(w, "\nexperiments (experiment NAME)\n"+planLines())
			fmt.Fprintln(w, "\nkeys of a scenario (--set KEY=VALUE)")
			for _, k := range scenario.Keys() {
				fmt.Fprintf(w, "  %-14s %s\n", k.Name, k.Doc)
			}
			return nil
		},
	}
	cmd.AddCommand(termsCommand(), runbookCommand(), planCommand())
	return cmd
}

func runbookCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "runbook NAME",
		Short: "print a runbook of the day as TOML, to be copied and changed",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage(fmt.Errorf("list runbook takes one of %s", strings.Join(operator.Names(), ", ")))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			text, ok := operator.Text(args[0])
			if !ok {
				return usage(fmt.Errorf("no runbook %q; there are: %s", args[0], strings.Join(operator.Names(), ", ")))
			}
			_, err := io.WriteString(cmd.OutOrStdout(), text)
			return err
		},
	}
}

func termsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "terms",
		Short: "list the terms of results and figures: meaning, symbol, unit, and where the code computes them",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			terms(cmd.OutOrStdout(), docs.Terms())
			return nil
		},
	}
}

func terms(w io.Writer, all []docs.Term) {
	section := ""
	for i, t := range all {
		if t.Section != section {
			if i > 0 {
				fmt.Fprintln(w)
			}
			fmt.Fprintln(w, strings.ToLower(t.Section))
			section = t.Section
		}
		name := t.Name
		if t.Symbol != "" {
			name += " (" + t.Symbol + ")"
		}
		where := "where: " + t.Where
		if t.Unit != "" {
			where = "unit: " + t.Unit + "; " + where
		}
		fmt.Fprintf(w, "  %-26s %s\n  %26s %s\n", name, t.Meaning, "", where)
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
