package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/export"
	"github.com/leasestorm/leasestorm/bench/plot"
	"github.com/leasestorm/leasestorm/bench/record"
	"github.com/leasestorm/leasestorm/bench/scenario"
	"github.com/leasestorm/leasestorm/bench/study"
)

// ranked is a verb that compares contestants over seeds: rank, remedy, fairness.
type ranked struct {
	shared
	// lay settles contestants and scenario, and lays out the folder.
	lay  func(cmd *cobra.Command, s *scenario.Scenario) (func(dir string) error, error)
	text func(rows []study.CompareRow, markdown bool) string
}

func (f *ranked) command(use, scenarioName, short, long string) *cobra.Command {
	cmd := &cobra.Command{Use: use + " [SCENARIO]", Short: short, Long: long, RunE: f.run}
	f.fallback, f.watched = scenarioName, true
	f.add(cmd, "real", study.LeastSeeds)
	return cmd
}

func (f *ranked) run(cmd *cobra.Command, args []string) error {
	defer func() { f.view.close() }()
	dir, err := f.folder(cmd, "a folder for each run", func() (func(dir string) error, []string, error) {
		s, err := f.load(cmd, args)
		if err != nil {
			return nil, nil, err
		}
		layOut, err := f.lay(cmd, &s)
		if err != nil {
			return nil, nil, err
		}
		f.tell(&s)
		return layOut, []string{f.verb, s.Name}, nil
	})
	if err != nil {
		return err
	}
	runs, err := f.suite(cmd, dir)
	if err != nil {
		return err
	}
	rows := study.Compare(runs.Results)
	study.MeasureCosts(rows)
	result := map[string]any{"schema": bench.ManifestSchema, "rows": rows, "refused": runs.Refused}
	return errors.Join(f.finish(cmd.Context(), cmd.OutOrStdout(), dir, result, rows), whatNext(runs, f.verb, dir))
}

// whatNext is the error, if there is one, that says what a person should do after a suite.
func whatNext(runs study.Runs, verb, dir string) error {
	if n := runs.Invalid(); n > 0 {
		return &exitError{exitInvalid, fmt.Errorf("%d of %d runs are invalid and count in no figure: make the host quiet, then 'leasestorm %s --resume %s' makes them again", n, len(runs.Results), verb, dir)}
	}
	return nil
}

// finish writes result and tables, draws the figure and prints.
func (f *ranked) finish(ctx context.Context, w io.Writer, dir string, result any, rows []study.CompareRow) error {
	if err := writeAll(dir, map[string]func(io.Writer) error{
		plot.CompareFile: record.JSON(result),
		"compare.md":     record.Text(f.text(rows, true)),
		"compare.csv":    func(w io.Writer) error { return study.WriteCompareCSV(w, rows) },
	}); err != nil {
		return err
	}
	if err := export.All(ctx, dir); err != nil {
		return err
	}
	if f.asJSON {
		err := printJSON(w, result, record.JSON)
		return errors.Join(err, drawAll(ctx, io.Discard, dir))
	}
	fmt.Fprintf(w, "%s\nfiles: %s (compare.md, compare.csv; for other programs: %s)\n", f.text(rows, false), dir, exported())
	return drawAll(ctx, w, dir)
}

func rankCommand() *cobra.Command {
	f := ranked{text: study.CompareText}
	all := false
	f.lay = func(cmd *cobra.Command, s *scenario.Scenario) (func(string) error, error) {
		own := study.WithOwn(s, study.RankContestants)
		if all {
			if cmd.Flags().Changed("contestants") {
				return nil, usage(errors.New("--all ranks the full grid: leave out --contestants"))
			}
			own = study.WithOwn(s, study.FullGrid())
		}
		if err := f.pick(cmd, s, own); err != nil {
			return nil, err
		}
		f.last(cmd, s, 40) // some take 25
		return func(dir string) error { return study.NewRanking(dir, *s, f.contestants, f.how()) }, nil
	}
	cmd := f.command("rank", "surge", "rank disciplines, admission controls and retry policies by a scenario",
		`Runs a scenario (default: surge) with each contestant, and ranks them: which brings the leases back,
and how soon. The default contestants are a short list of all families and the scenario's own parts.
Each contestant runs with several seeds, in shuffled order. Ctrl-C keeps every finished run, and
--resume goes on from there.`)
	cmd.Flags().BoolVar(&all, "all", false, "rank the full grid: some 540 contestants")
	return cmd
}

func remedyCommand() *cobra.Command {
	f := ranked{text: study.RemedyText}
	f.lay = func(cmd *cobra.Command, s *scenario.Scenario) (func(string) error, error) {
		if len(f.contestants) == 0 {
			f.contestants = study.RemedyContestants(s)
		}
		f.last(cmd, s, 40)
		return func(dir string) error { return study.NewRemedy(dir, *s, f.contestants, f.how()) }, nil
	}
	return f.command("remedy", "surge", "run each control in place before the surge, and switched on after the collapse",
		`Runs a scenario (default: surge) with each contestant's parts in place from the start, and with the
scenario's own parts until the operator switches the contestant's on (--set operator_at=…). --queue,
--admit and --retry change what is there before the switch.`)
}

func fairnessCommand() *cobra.Command {
	f := ranked{text: study.FairnessText}
	f.lay = func(cmd *cobra.Command, s *scenario.Scenario) (func(string) error, error) {
		if err := f.pick(cmd, s, study.WithOwn(s, study.FairnessContestants)); err != nil {
			return nil, err
		}
		if s.SurgeZones == 0 && s.Zones > 1 {
			s.SurgeZones = 1
			if most := s.MostBroken(); s.Broken > most {
				f.note("the zone has %d leases: all of them break, not %d", most, s.Broken)
				s.Broken = most
			}
			f.note("the surge is put into one of %d zones (--set surge_zones=N: into the first N)", s.Zones)
		}
		f.last(cmd, s, 40)
		return func(dir string) error { return study.NewFairness(dir, *s, f.contestants, f.how()) }, nil
	}
	return f.command("fairness", "zones", "put the surge into a part of the zones, and measure what the others get",
		`Runs a scenario (default: zones) with each contestant, and prints what the zones with the surge and
those without got: the share of attempts answered in time, and the mean wait of a good answer.`)
}
