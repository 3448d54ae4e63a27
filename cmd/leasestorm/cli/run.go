package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/engine"
	"github.com/leasestorm/leasestorm/bench/record"
	"github.com/leasestorm/leasestorm/bench/scenario"
	"github.com/leasestorm/leasestorm/bench/study"
)

// keyFlags are the keys of a scenario that have a flag of their own.
var keyFlags = [][2]string{
	{"table", "lease table"}, {"queue", "queue discipline"}, {"admit", "admission controller"},
	{"retry", "retry policy"}, {"leases", "leases under management"}, {"broken", "leases that lapse in the outage"},
	{"duration", "longest time of the run after the return"},
}

// scenarioFlags are what run and sim have in common.
type scenarioFlags struct {
	set    []string
	opts   bench.Options
	seeds  int
	out    string
	asJSON bool
}

func (f *scenarioFlags) add(cmd *cobra.Command) {
	for _, k := range keyFlags {
		cmd.Flags().String(k[0], "", k[1])
	}
	cmd.Flags().StringArrayVar(&f.set, "set", nil, "set a key of the scenario, as in --set rho=0.4 --set spread=0.5s")
	cmd.Flags().Uint64Var(&f.opts.Seed, "seed", 0, "seed of all randomness; 0: a random one, which is printed")
	cmd.Flags().IntVar(&f.seeds, "seeds", 1, "number of repetitions; run i uses seed --seed + i (--seed 0: 1 + i)")
	cmd.Flags().IntVar(&f.opts.MaxQueue, "max-queue", 50_000_000, "queue length in attempts that ends a run, with its verdict, before the host swaps (40 bytes each); 0: no limit")
	cmd.Flags().StringVar(&f.out, "out", "", `folder to make for the run's files; "none": no files (default results/<time>-<scenario>-<queue>)`)
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print the result as one JSON object on stdout, and nothing else there")
}

// oneScenario is a command's Args: one scenario.
func oneScenario(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usage(fmt.Errorf("%s takes one scenario, not %d; 'leasestorm list' shows them", cmd.Name(), len(args)))
	}
	return nil
}

// load reads the scenario, applies the flags, and says which of them is out of range.
func (f *scenarioFlags) load(cmd *cobra.Command, name string) (scenario.Scenario, error) {
	s, err := scenario.Load(name)
	if err != nil {
		return s, usage(err)
	}
	var assignments []string
	for _, k := range keyFlags {
		v, err := cmd.Flags().GetString(k[0])
		if err != nil {
			return s, err
		}
		if v != "" || cmd.Flags().Changed(k[0]) {
			assignments = append(assignments, k[0]+"="+v)
		}
	}
	if err := s.Set(append(assignments, f.set...)...); err != nil {
		return s, usage(err)
	}
	return s, f.check()
}

// badScenario is an error that is the user's where there can be no such scenario, or not here.
func badScenario(err error) error {
	if errors.Is(err, scenario.ErrScenario) || errors.Is(err, bench.ErrMemory) {
		return usage(err)
	}
	return err
}

// runnerOf reads --engine.
func runnerOf(engine string) (bench.Runner, error) {
	r, err := bench.RunnerOf(engine)
	return r, badScenario(err)
}

// serviceFlag is --service.
func serviceFlag(cmd *cobra.Command, service *string) {
	cmd.Flags().StringVar(service, "service", "fixed", "distribution of service times: fixed, exponential, lognormal:cv=NUMBER, measured:FOLDER of a run")
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

// check says which flag is out of range.
func (f *scenarioFlags) check() error {
	switch {
	case f.seeds < 1 || f.seeds > scenario.MaxSeeds:
		return usage(fmt.Errorf("--seeds %d is out of range: 1 to 10000 seeds", f.seeds))
	case f.opts.MaxQueue < 0:
		return usage(fmt.Errorf("--max-queue %d is out of range: 0 (no limit) or more attempts", f.opts.MaxQueue))
	}
	return workersInRange(f.opts.Workers)
}

// run runs the scenario, once or over seeds, and prints what comes of it.
func (f *scenarioFlags) run(cmd *cobra.Command, name string, runner bench.Runner) error {
	s, err := f.load(cmd, name)
	if err != nil {
		return err
	}
	f.opts.Progress = os.Stderr
	once := func(dir string) error {
		if dir != "none" {
			f.opts.Folder = dir
		}
		if f.seeds > 1 {
			return f.repeat(cmd, s, runner)
		}
		return f.once(cmd, s, runner)
	}
	return fresh(f.out, once, s.Name, scenario.FileName(s.Queue))
}

// once makes one run. A result whose files cannot be written is printed all the same.
func (f *scenarioFlags) once(cmd *cobra.Command, s scenario.Scenario, runner bench.Runner) error {
	res, err := runner.Run(cmd.Context(), s, f.opts)
	if err != nil && !errors.Is(err, bench.ErrFiles) {
		return badScenario(err)
	}
	if err := errors.Join(f.print(cmd.OutOrStdout(), res, res.Text), err); err != nil {
		return err
	}
	if !res.Valid {
		return &exitError{exitInvalid, fmt.Errorf("the run is invalid: %s", res.Because)}
	}
	return nil
}

func (f *scenarioFlags) repeat(cmd *cobra.Command, s scenario.Scenario, runner bench.Runner) error {
	f.opts.Seed = max(1, f.opts.Seed)
	if f.out == "" {
		if err := mkdir(f.opts.Folder); err != nil {
			return err
		}
		defer func() { _ = os.Remove(f.opts.Folder) }() // if it is empty
	}
	rep, err := study.Repeat(cmd.Context(), runner, s, f.opts, f.seeds)
	if errors.Is(err, scenario.ErrScenario) {
		return usage(err)
	}
	if len(rep.Runs) > 0 {
		err = errors.Join(err, f.print(cmd.OutOrStdout(), rep, rep.Text))
	}
	if err == nil && rep.Verdicts[bench.Invalid] > 0 {
		err = &exitError{exitInvalid, fmt.Errorf("%d of %d runs are invalid", rep.Verdicts[bench.Invalid], f.seeds)}
	}
	return err
}

// print prints a result as one JSON object, or for a person.
func (f *scenarioFlags) print(w io.Writer, v any, text func() string) error {
	if f.asJSON {
		return printJSON(w, v, record.JSON)
	}
	_, err := io.WriteString(w, text())
	return err
}

// printJSON prints v with the number of its schema first, where v is an object that has none: who
// keeps what --json prints learns from it which version's keys these are.
func printJSON(w io.Writer, v any, form func(any) func(io.Writer) error) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	var has struct {
		Schema int `json:"schema"`
	}
	if text[0] == '{' && json.Unmarshal(text, &has) == nil && has.Schema == 0 {
		text = append(fmt.Appendf(nil, `{"schema":%d,`, bench.ManifestSchema), text[1:]...)
	}
	return form(json.RawMessage(text))(w)
}

func runCommand() *cobra.Command {
	var f scenarioFlags
	cmd := &cobra.Command{
		Use:   "run SCENARIO",
		Short: "run a scenario on this host's cores, to a verdict",
		Long: `Runs a scenario on pinned workers that do real work, and prints the verdict. The scenario is a
built-in one, or a file whose name ends in .toml. The run's files go to a folder of their own in
results/.

Exit status:
  0    the run was made, whatever its verdict
  1    failed
  2    bad usage
  4    the run is invalid: the harness could not keep up
  130  interrupted
  141  the reader of the output has gone`,
		Args: oneScenario,
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args[0], bench.Real{}) },
	}
	f.add(cmd)
	cmd.Flags().IntVar(&f.opts.Workers, "workers", 0, "worker threads; 0: one per physical core, less the generator's")
	cmd.Flags().StringVar(&f.opts.Idle, "idle", engine.Idles[0], "how threads wait for work: "+strings.Join(engine.Idles, ", "))
	return cmd
}

func simCommand() *cobra.Command {
	var f scenarioFlags
	cmd := &cobra.Command{
		Use:   "sim SCENARIO",
		Short: "run a scenario in virtual time, without waiting",
		Long: `Drives the same tables, disciplines, controllers and droplets as run does, through a calendar of
events. The same scenario, flags and seed make the same files to the byte, on every host and architecture.`,
		Args: oneScenario,
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args[0], bench.Virtual{}) },
	}
	f.add(cmd)
	cmd.Flags().IntVar(&f.opts.Workers, "workers", 1, "workers of the simulated manager")
	serviceFlag(cmd, &f.opts.Service)
	return cmd
}
