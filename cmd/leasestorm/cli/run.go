package cli

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/scenario"
	"github.com/leasestorm/leasestorm/bench/study"
)

// badScenario is an error that is the user's where there can be no such scenario, or not here.
func badScenario(err error) error {
	if errors.Is(err, scenario.ErrScenario) || errors.Is(err, bench.ErrMemory) {
		return usage(err)
	}
	return err
}

// keyDoc is what a key of a scenario means.
func keyDoc(key string) string {
	for _, k := range scenario.Keys() {
		if k.Name == key {
			return k.Doc
		}
	}
	return ""
}

// hide leaves flags out of a command's help: those for which it has no use.
func hide(cmd *cobra.Command, flags ...string) {
	for _, f := range flags {
		_ = cmd.Flags().MarkHidden(f) // they are there
	}
}

// setDefault gives a flag that is there already another default.
func setDefault(cmd *cobra.Command, name, value string) {
	f := cmd.Flags().Lookup(name)
	_ = f.Value.Set(value) // a command's own value
	f.DefValue = value
}

// free says whether a file can be written: nothing stands there, and its folder does. None
// is asked for by "".
func free(path string) error {
	if path == "" {
		return nil
	}
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("%s exists already; name another file", path)
	}
	if info, err := os.Stat(filepath.Dir(path)); err != nil || !info.IsDir() {
		return fmt.Errorf("%s: there is no folder %s; make it first", path, filepath.Dir(path))
	}
	return nil
}

// resultsFolder is where what has no --out goes.
func resultsFolder(name ...string) string {
	return filepath.Join("results", strings.Join(append([]string{time.Now().UTC().Format("20060102T150405Z")}, name...), "-"))
}

// run runs the scenario, once or over seeds, and prints what comes of it.
func (f *shared) run(cmd *cobra.Command, args []string) error {
	s, err := f.load(cmd, args)
	if err != nil {
		return err
	}
	if !f.typed(cmd, "seed") && f.seeds > 1 {
		f.opts.Seed = 1
	}
	f.opts.Seed = bench.DrawSeed(f.opts.Seed) // one for all tries
	if err := f.open(cmd); err != nil {
		return err
	}
	defer f.view.close()
	f.opts.Progress, f.opts.Live = f.view, f.view.Live
	f.tell(&s)
	end, err := f.generators(cmd)
	if err != nil {
		return err
	}
	defer end()
	runner, err := study.Remember(f.runner, "", f.redo)
	if err != nil {
		return err
	}
	return fresh(f.out, func(dir string) error {
		if dir != "none" {
			f.opts.Folder = dir
		}
		if f.seeds > 1 {
			return f.repeat(cmd, s, runner)
		}
		return f.once(cmd, s, runner)
	}, s.Name, scenario.FileName(s.Queue))
}

// once makes one run. A result whose files cannot be written is printed all the same.
func (f *shared) once(cmd *cobra.Command, s scenario.Scenario, runner bench.Runner) error {
	res, err := runner.Run(cmd.Context(), s, f.opts)
	f.view.settle()
	if err != nil && !errors.Is(err, bench.ErrFiles) {
		return badScenario(err)
	}
	page, pageErr := besideRuns(cmd.Context(), res.Folder)
	if err := errors.Join(f.print(cmd.OutOrStdout(), res, func() string { return res.Text() + page }), err, pageErr); err != nil {
		return err
	}
	if !res.Valid {
		return &exitError{exitInvalid, fmt.Errorf("the run is invalid: %s", res.Because)}
	}
	return nil
}

func (f *shared) repeat(cmd *cobra.Command, s scenario.Scenario, runner bench.Runner) error {
	if f.out == "" {
		if err := mkdir(f.opts.Folder); err != nil {
			return err
		}
		defer func() { _ = os.Remove(f.opts.Folder) }() // if it is empty
	} else if f.opts.Folder != "" {
		if err := ours(f.opts.Folder); err != nil {
			return err
		}
	}
	rep, err := study.Repeat(cmd.Context(), runner, s, f.opts, f.seeds)
	f.view.settle()
	if errors.Is(err, scenario.ErrScenario) {
		return usage(err)
	}
	if len(rep.Runs) > 0 {
		page, pageErr := besideRuns(cmd.Context(), f.opts.Folder)
		err = errors.Join(err, f.print(cmd.OutOrStdout(), rep, func() string { return rep.Text() + page }), pageErr)
	}
	if err == nil && rep.Verdicts[bench.Invalid] > 0 {
		err = &exitError{exitInvalid, fmt.Errorf("%d of %d runs are invalid", rep.Verdicts[bench.Invalid], f.seeds)}
	}
	return err
}

// notInARun is why run and sim take no contestants, and do not go on.
var notInARun = map[string]string{
	"contestants": "a run has one contestant, which --queue, --admit and --retry name; 'leasestorm rank' compares several",
	"resume":      "a run is made in one go; the studies (rank, threshold, map …) go on",
}

func runCommand() *cobra.Command {
	f := shared{watched: true, refuses: maps.Clone(notInARun)}
	cmd := &cobra.Command{
		Use:   "run SCENARIO",
		Short: "run a scenario on this host's cores (--engine virtual: in virtual time), to a verdict",
		Long: `Runs a scenario on pinned workers that do real work, and prints the verdict. The scenario is a
built-in one, or a file whose name ends in .toml. The run's files go to a folder of their own in
results/. Before the run it waits for a quiet host, 30 s at most. A run that the host spoils is
made again. --listen serves a page that draws the run while it goes on.

  leasestorm run surge --queue deadline
  leasestorm run surge --listen 127.0.0.1:0

Exit status:
  0    the run was made, whatever its verdict
  1    failed
  2    bad usage
  4    the run is invalid: the harness could not keep up
  130  interrupted
  141  the reader of the output has gone`,
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) },
	}
	f.add(cmd, "real", 1)
	setDefault(cmd, "seed", "0")
	cmd.Flags().Lookup("seed").Usage = "seed of all randomness; 0: a random one, which is printed (with --seeds: 1)"
	return cmd
}

func simCommand() *cobra.Command {
	f := shared{watched: true, refuses: map[string]string{"engine": "sim is 'run --engine virtual'"}}
	maps.Copy(f.refuses, notInARun)
	for _, name := range []string{"idle", "redo", "no-wait"} {
		f.refuses[name] = "it is about a host, and in virtual time there is none"
	}
	cmd := &cobra.Command{
		Use:   "sim SCENARIO",
		Short: "run a scenario in virtual time, without waiting",
		Long: `Drives the same tables, disciplines, controllers and droplets as run does, through a calendar of
events: it is "run --engine virtual". The same scenario, flags and seed make the same files to the
byte, on every host and architecture.`,
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) },
	}
	f.add(cmd, "virtual", 1)
	setDefault(cmd, "seed", "0")
	return cmd
}
