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
	"github.com/leasestorm/leasestorm/bench/engine"
	"github.com/leasestorm/leasestorm/bench/scenario"
	"github.com/leasestorm/leasestorm/bench/study"
)

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
	var (
		f        scenarioFlags
		runbook  string
		on       string
		search   bool
		first    time.Duration
		bestFile string
	)
	cmd := &cobra.Command{
		Use:   "drill SCENARIO",
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
                replace the part by "to"`,
		Args: oneScenario,
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := f.load(cmd, args[0])
			if err != nil {
				return err
			}
			runner, err := runnerOf(on)
			if err != nil {
				return err
			}
			if s.Outage == 0 || s.Operator != "none" {
				return usage(errors.New("a drill needs a scenario with an outage and without an operator of its own, as surge is"))
			}
			f.opts.Seed = max(1, f.opts.Seed)
			if f.out != "none" {
				f.opts.Folder = f.out
			}
			if search {
				if f.opts.Folder != "" {
					return usage(errors.New("--search makes no files of its runs: leave out --out"))
				}
				return f.searchRunbook(cmd, runner, s, first, bestFile)
			}
			b, err := scenario.ParseRunbook("the built-in runbook", []byte(defaultRunbook))
			if runbook != "" {
				b, err = scenario.ReadRunbook(runbook)
			}
			if err != nil {
				return usage(err)
			}
			d, err := study.Drill(cmd.Context(), runner, s, b, f.opts)
			if err != nil {
				return badScenario(err)
			}
			return f.print(cmd.OutOrStdout(), d, func() string { return d.Text() + "\n" + d.Result.Text() })
		},
	}
	f.add(cmd)
	hide(cmd, "seeds")
	cmd.Flags().Lookup("out").Usage = "folder to make for the run's files (default: none)"
	cmd.Flags().StringVar(&f.opts.Idle, "idle", "", "real engine: how threads wait for work: "+strings.Join(engine.Idles, ", "))
	cmd.Flags().StringVar(&runbook, "runbook", "", "file of the runbook")
	cmd.Flags().StringVar(&on, "engine", "virtual", "real or virtual")
	cmd.Flags().BoolVar(&search, "search", false, "search for the best batch size, pace and throttle (336 runbooks)")
	cmd.Flags().DurationVar(&first, "first", 8*time.Second, "time from the return to the first step of the search's runbooks")
	cmd.Flags().StringVar(&bestFile, "best", "", "file to write the best runbook to")
	return cmd
}

func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  ") + "\n"
}

func (f *scenarioFlags) searchRunbook(cmd *cobra.Command, runner bench.Runner, s scenario.Scenario, first time.Duration, bestFile string) error {
	if first < 0 || first > time.Hour {
		return usage(fmt.Errorf("--first %v is out of range: 0 to 1h", first))
	}
	if err := free(bestFile); err != nil {
		return err
	}
	all, err := study.SearchRunbook(cmd.Context(), runner, s, f.opts, first)
	if err != nil && (len(all) == 0 || !errors.Is(err, context.Canceled)) {
		return badScenario(err)
	}
	if err != nil { // the best of those that were tried is no answer to be kept
		return errors.Join(err, f.print(cmd.OutOrStdout(), all, func() string { return study.DrillTable(all, 10) }))
	}
	if bestFile != "" {
		var name string
		if name, err = writeNew(bestFile, all[0].Runbook.TOML()); name != bestFile && err == nil {
			fmt.Fprintf(os.Stderr, "%s exists by now: the best is in %s\n", bestFile, name)
		}
	}
	return errors.Join(f.print(cmd.OutOrStdout(), all, func() string { return study.DrillTable(all, 10) + "\nthe best:\n\n" + all[0].Runbook.TOML() }), err)
}
