package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/scenario"
	"github.com/leasestorm/leasestorm/bench/study"
)

// builtinRunbook is defaultRunbook at the scenario's own pace.
func builtinRunbook(s *scenario.Scenario) string {
	return strings.ReplaceAll(defaultRunbook, `"8s"`, fmt.Sprintf("%q", s.OperatorAt))
}

// defaultRunbook is what was done on the day, in short.
const defaultRunbook = `name = "the-day"
about = "throttle all incoming work, and restart the whole manager"

[[step]]
at = "8s"
do = "throttle"
value = 0.8

[[step]]
at = "8s"
do = "restart"
value = 1
`

func drillCommand() *cobra.Command {
	f := shared{fallback: "surge", refuses: map[string]string{
		"contestants": "a drill is about one contestant, which --queue, --admit and --retry name; 'leasestorm remedy' compares what is switched on",
		"seeds":       "a drill is scored by one run; --seed makes it with another seed",
	}}
	var (
		runbook, bestFile string
		search            bool
		first             time.Duration
	)
	cmd := &cobra.Command{
		Use:   "drill [SCENARIO]",
		Short: "let a scenario collapse, play a runbook, and score it by the time to the last lease back",
		Long: `Lets a scenario collapse and plays an operator's runbook. The score is the time from the runbook's
first step until 99.9 % of the leases are back. --search tries 336 runbooks of throttles and
restarts in virtual time and prints the best.

A runbook is a TOML file of steps. The default is:

` + indent(defaultRunbook) + `
"do" is one of:

  throttle      admit work up to "value", a share of capacity
  relax         end the throttle
  restart       empty "value", a share of the queue
  switch-queue, switch-admit, switch-retry
                replace the part by "to"
  exec          run the shell command "to"; with --engine target only`,
	}
	cmd.Flags().StringVar(&runbook, "runbook", "", "file of the runbook")
	cmd.Flags().BoolVar(&search, "search", false, "search for the best batch size, pace and throttle (336 runbooks)")
	cmd.Flags().DurationVar(&first, "first", 0, "time from the return to the first step of the search's runbooks (default: operator_at)")
	cmd.Flags().StringVar(&bestFile, "write", "", "file to write the search's best runbook to")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !search && f.resume == "" {
			for _, name := range []string{"first", "write"} {
				if cmd.Flags().Changed(name) {
					return usage(fmt.Errorf("--%s goes with --search", name))
				}
			}
		}
		if search && runbook != "" {
			return usage(errors.New("--search makes its own runbooks: leave out --runbook"))
		}
		prepare := func(s *scenario.Scenario) error {
			if s.Outage == 0 || s.Operator != "none" {
				return usage(errors.New("a drill needs a scenario with an outage and without an operator of its own, as surge is"))
			}
			return nil
		}
		if !search && f.resume == "" {
			if err := here(cmd, "goes with --search: a drill is one run"); err != nil {
				return err
			}
			return f.drill(cmd, args, prepare, runbook)
		}
		return f.begin(cmd, args, prepare, func(s scenario.Scenario, runner bench.Runner, dir string) error {
			return f.searchRunbook(cmd, runner, s, first, bestFile, dir)
		})
	}
	f.add(cmd, "virtual", 1)
	return cmd
}

// drill plays one runbook.
func (f *shared) drill(cmd *cobra.Command, args []string, prepare func(*scenario.Scenario) error, runbook string) error {
	s, err := f.load(cmd, args)
	if err == nil {
		err = prepare(&s)
	}
	if err != nil {
		return err
	}
	b, err := scenario.ParseRunbook("the built-in runbook", []byte(builtinRunbook(&s)))
	if runbook != "" {
		b, err = scenario.ReadRunbook(runbook)
	}
	if err != nil {
		return usage(err)
	}
	f.tell(&s)
	runner, err := study.Remember(f.runner, "", f.redo)
	if err != nil {
		return err
	}
	return fresh(f.out, func(dir string) error {
		if f.opts.Folder = dir; dir == "none" {
			f.opts.Folder = ""
		}
		d, err := study.Drill(cmd.Context(), runner, s, b, f.opts)
		if err != nil {
			return badScenario(err)
		}
		page, err := besideRuns(cmd.Context(), d.Result.Folder)
		return errors.Join(f.print(cmd.OutOrStdout(), d, func() string { return d.Text() + "\n" + d.Result.Text() + page }), err)
	}, "drill", s.Name)
}

func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  ") + "\n"
}

func (f *shared) searchRunbook(cmd *cobra.Command, runner bench.Runner, s scenario.Scenario, first time.Duration, bestFile, dir string) error {
	if first == 0 {
		first = s.OperatorAt
	}
	if first < 0 || first > time.Hour {
		return usage(fmt.Errorf("--first %v is out of range: 0 to 1h", first))
	}
	if err := free(bestFile); err != nil && !f.saved {
		return err
	}
	all, err := study.SearchRunbook(cmd.Context(), runner, s, f.opts, first)
	if err != nil && (len(all) == 0 || !errors.Is(err, context.Canceled)) {
		return badScenario(err)
	}
	if err != nil { // the best of those that were tried is no answer to be kept
		return errors.Join(resumable(err), f.print(cmd.OutOrStdout(), all, func() string { return study.DrillTable(all, 10) }))
	}
	if bestFile != "" {
		var name string
		if name, err = writeNew(bestFile, all[0].Runbook.TOML()); name != bestFile && err == nil {
			fmt.Fprintf(os.Stderr, "%s exists by now: the best is in %s\n", bestFile, name)
		}
	}
	return errors.Join(f.save(cmd.Context(), cmd.OutOrStdout(), dir, all, func() string { return study.DrillTable(all, 10) + "\nthe best:\n\n" + all[0].Runbook.TOML() }), err)
}
