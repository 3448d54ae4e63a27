package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/plot"
	"github.com/leasestorm/leasestorm/bench/record"
	"github.com/leasestorm/leasestorm/bench/scenario"
	"github.com/leasestorm/leasestorm/bench/study"
)

// experimentLeases is the number of leases to which an experiment scales a scenario down: it has
// thousands of runs.
const experimentLeases = 20_000

// planFile is the plan in a study's folder.
const planFile = "plan.toml"

// planFlag holds the experiment's name, so that --resume finds it.
const planFlag = "plan"

func experimentCommand() *cobra.Command {
	f := shared{refuses: map[string]string{
		"contestants": "the experiment says what is compared; 'leasestorm rank' takes contestants of yours",
	}}
	name := ""
	cmd := &cobra.Command{
		Use:   "experiment [NAME | FILE.toml] [SCENARIO]",
		Short: "answer a question by a grid of parts, clients and surges: Retry-After, policies, drift, …",
		Long: `Runs each combination of an experiment's factors with several seeds, and draws and tells what comes
of it. Without a name it lists the experiments. 'leasestorm list experiment NAME' prints the file of
one, to be copied and changed: FILE.toml is an experiment of yours. A scenario of yours takes the
place of the experiment's. One of more leases is scaled down to 20,000 at the same ρ and β; --leases
N runs it with N.

Experiments:
` + planLines(),
	}
	cmd.Flags().StringVar(&name, planFlag, "", "name of the experiment")
	hide(cmd, planFlag)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if f.resume == "" && len(args) == 0 && name == "" {
			fmt.Fprint(cmd.OutOrStdout(), "experiments (experiment NAME)\n"+planLines())
			return nil
		}
		if len(args) > 0 {
			if err := setFlag(cmd, planFlag, args[0]); err != nil {
				return err
			}
			args = args[1:]
		}
		var plan study.Plan
		var text []byte
		if f.resume == "" {
			var err error
			if plan, text, err = study.LoadPlan(name); err != nil {
				return usage(err)
			}
			f.fallback, f.preset = plan.Scenario, plan.Set
			if len(args) > 0 {
				if plan.Swaps() {
					return usage(fmt.Errorf("%s: each cell of the experiment %s has a scenario of its own; 'leasestorm list experiment %[2]s' prints it, to be changed", args[0], plan.Name))
				}
				f.preset = nil // those are the experiment's own scenario's
			}
			if err := f.ofPlan(cmd, &plan); err != nil {
				return err
			}
			if f.typed(cmd, "leases") && slices.Contains(plan.Keys(), "broken") {
				f.preset = append(slices.Clone(f.preset), "broken=1") // any number of leases has one; the cells set theirs
			}
		}
		return f.begin(cmd, args, func(s *scenario.Scenario) error {
			f.size(cmd, s, experimentLeases)
			return nil
		}, func(s scenario.Scenario, runner bench.Runner, dir string) error {
			kept := filepath.Join(dir, planFile)
			var err error
			switch {
			case f.saved: // the file that was named may be another one by now
				if text, err = os.ReadFile(kept); err == nil {
					plan, err = study.ParsePlan(kept, text)
				}
			case dir != "":
				err = record.WriteFile(kept, record.Text(string(text)))
			}
			if err != nil {
				return err
			}
			e := study.Experiment{Plan: plan, Scenario: s.TOML(), Seeds: f.seeds, Seed: f.opts.Seed, Method: f.method()}
			bar := newBar(os.Stderr, "cells")
			err = e.Run(cmd.Context(), runner, bar.set)
			bar.close()
			if err != nil {
				return resumable(err)
			}
			if dir != "" {
				err = record.WriteFile(filepath.Join(dir, "experiment.csv"), record.Text(string(e.CSV())))
			}
			return errors.Join(f.saveDrawn(cmd.Context(), cmd.OutOrStdout(), dir, plot.ExperimentFile, &e, e.Text), err)
		})
	}
	f.add(cmd, "virtual", 10)
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if f.resume != "" {
			return noArgs(cmd, args)
		}
		if len(args) > 2 {
			return usage(fmt.Errorf("experiment takes a name and a scenario, not %d arguments: leasestorm experiment retry-after surge", len(args)))
		}
		return nil
	}
	return cmd
}

// ofPlan refuses the flags whose keys the experiment sets in its cells, and an experiment on what only
// a service that is not ours decides.
func (f *shared) ofPlan(cmd *cobra.Command, p *study.Plan) error {
	if f.on == (bench.Target{}).Name() && slices.Contains(p.Names(), "beta") {
		return errBeta
	}
	for _, key := range p.Keys() {
		if f.on == (bench.Target{}).Name() && bench.Foreign(key, true) != "" {
			return usage(fmt.Errorf("--engine target: the experiment %s sets %s: %s", p.Name, key, bench.Foreign(key, true)))
		}
		flag := key
		for _, k := range keyFlags {
			if k.key == key {
				flag = k.flag
			}
		}
		if f.typed(cmd, flag) || cmd.Flags().Lookup(flag) == nil && f.sets(key) {
			return usage(fmt.Errorf("--%s: the experiment %s sets %s in each of its cells; 'leasestorm list experiment %s' prints it, to be changed", flag, p.Name, key, p.Name))
		}
	}
	return nil
}

// sets says whether the user gave a key by --set.
func (f *shared) sets(key string) bool {
	for _, a := range f.set {
		if strings.HasPrefix(a, key+"=") {
			return true
		}
	}
	return false
}

// planLines are the experiments with their questions.
func planLines() string {
	var b strings.Builder
	for _, p := range study.Plans() {
		fmt.Fprintf(&b, "  %-12s %s (%d cells)\n", p.Name, p.Question, p.Cells())
	}
	return b.String()
}

// planCommand prints an experiment's file.
func planCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "experiment NAME",
		Short: "print an experiment as TOML, to be copied and changed",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 && study.PlanText(args[0]) != "" {
				return nil
			}
			var names []string
			for _, p := range study.Plans() {
				names = append(names, p.Name)
			}
			return usage(fmt.Errorf("list experiment takes one of %s", strings.Join(names, ", ")))
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return record.Text(study.PlanText(args[0]))(cmd.OutOrStdout())
		},
	}
}
