package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/record"
)

// scenarioFlags are the flags that set keys of a scenario: of that name each, and --set.
type scenarioFlags struct {
	set []string
}

// keyFlags are the keys that have a flag of their own.
var keyFlags = [][2]string{
	{"table", "lease table"}, {"queue", "queue discipline"}, {"admit", "admission controller"},
	{"retry", "retry policy"}, {"leases", "leases under management"}, {"broken", "leases that lapse in the outage"},
	{"duration", "how long the run goes on after the return, at most"},
}

func (f *scenarioFlags) add(cmd *cobra.Command) {
	for _, k := range keyFlags {
		cmd.Flags().String(k[0], "", k[1])
	}
	cmd.Flags().StringArrayVar(&f.set, "set", nil, "set a key of the scenario, as in --set rho=0.4 --set spread=0.5s")
}

// load reads the scenario and applies the flags.
func (f *scenarioFlags) load(cmd *cobra.Command, name string) (bench.Scenario, error) {
	s, err := bench.LoadScenario(name)
	if err != nil {
		return s, usage(err)
	}
	var assignments []string
	for _, k := range keyFlags {
		if cmd.Flags().Changed(k[0]) {
			v, err := cmd.Flags().GetString(k[0])
			if err != nil {
				return s, err
			}
			assignments = append(assignments, k[0]+"="+v)
		}
	}
	if err := s.Set(append(assignments, f.set...)...); err != nil {
		return s, usage(err)
	}
	return s, nil
}

func runCommand() *cobra.Command {
	var (
		keys    scenarioFlags
		opts    bench.Options
		workers int
		seeds   int
		out     string
		asJSON  bool
	)
	cmd := &cobra.Command{
		Use:   "run SCENARIO",
		Short: "run a scenario on this host's cores, to a verdict",
		Long: `Runs a scenario (a built-in one, or a file whose name ends in .toml) on pinned workers
doing real work, and prints the verdict. Files go to a folder of their own in results/.

Exit status: 0 the run was made, whatever its verdict; 1 failed; 2 bad usage;
4 the run is invalid: the harness could not keep up; 130 interrupted.`,
		Args: cobra.MatchAll(func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage(fmt.Errorf("run takes one scenario, not %d; 'leasestorm list' shows them", len(args)))
			}
			return nil
		}),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := keys.load(cmd, args[0])
			if err != nil {
				return err
			}
			if err := workersInRange(workers); err != nil {
				return err
			}
			if seeds < 1 || seeds > 10_000 {
				return usage(fmt.Errorf("--seeds %d is out of range: 1 to 10000 seeds", seeds))
			}
			if opts.MaxQueue < 0 {
				return usage(fmt.Errorf("--max-queue %d is out of range: 0 (no limit) or more attempts", opts.MaxQueue))
			}
			opts.Workers, opts.Progress, opts.Folder = workers, os.Stderr, out
			switch out {
			case "":
				opts.Folder = fmt.Sprintf("results/%s-%s-%s", time.Now().UTC().Format("20060102T150405Z"), s.Name, bench.FileName(s.Queue))
			case "none":
				opts.Folder = ""
			}
			if seeds > 1 {
				if opts.Seed == 0 {
					opts.Seed = 1
				}
				rep, err := bench.RunSeeds(cmd.Context(), s, opts, seeds)
				if len(rep.Runs) > 0 {
					err = errors.Join(err, printResult(cmd.OutOrStdout(), asJSON, rep, rep.Text))
				}
				if err == nil && rep.Verdicts[bench.Invalid] > 0 {
					err = &exitError{exitInvalid, fmt.Errorf("%d of %d runs are invalid", rep.Verdicts[bench.Invalid], seeds)}
				}
				return err
			}
			res, err := bench.Run(cmd.Context(), s, opts)
			if errors.Is(err, bench.ErrScenario) {
				return usage(err)
			}
			if err != nil {
				return err
			}
			err = printResult(cmd.OutOrStdout(), asJSON, res, res.Text)
			if err == nil && !res.Valid {
				err = &exitError{exitInvalid, fmt.Errorf("the run is invalid: %s", res.Because)}
			}
			return err
		},
	}
	keys.add(cmd)
	cmd.Flags().IntVar(&workers, "workers", 0, "worker threads; 0: one a physical core, less the generator's")
	cmd.Flags().Uint64Var(&opts.Seed, "seed", 0, "seed of all randomness; 0: a random one, which is printed")
	cmd.Flags().StringVar(&out, "out", "", `folder to make for the run's files; "none": no files (default results/<time>-<scenario>-<queue>)`)
	cmd.Flags().IntVar(&seeds, "seeds", 1, "repeat over so many seeds, from --seed (or 1) on")
	cmd.Flags().IntVar(&opts.MaxQueue, "max-queue", 50_000_000, "attempts at which a run is ended with its verdict, before the host swaps (40 bytes each); 0: no limit")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the result as one JSON object on stdout, and nothing else there")
	return cmd
}

// printResult prints a result as one JSON object, or for a person.
func printResult(w io.Writer, asJSON bool, v any, text func() string) error {
	if asJSON {
		return record.JSON(v)(w)
	}
	_, err := io.WriteString(w, text())
	return err
}
