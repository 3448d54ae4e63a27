package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/engine"
	"github.com/leasestorm/leasestorm/bench/record"
	"github.com/leasestorm/leasestorm/bench/scenario"
	"github.com/leasestorm/leasestorm/bench/study"
	"github.com/leasestorm/leasestorm/queue/admit"
)

// keyFlags are the keys of a scenario that have a flag of their own.
var keyFlags = []struct{ flag, key string }{
	{"table", "table"}, {"queue", "queue"}, {"admit", "admit"}, {"retry", "retry"}, {"leases", "leases"}, {"broken", "broken"},
	{"duration", "duration"}, {"workers", "workers"}, {"service", "service_law"},
}

// defaultWait is how long a measured run waits for a quiet host.
var defaultWait = 30 * time.Second // tests do not wait

// defaultRedo is how often a run that the host spoilt is made again.
const defaultRedo = 2

// shared are the flags of every verb that runs scenarios. Each verb honours a flag or refuses it
// with its reason; so no flag is dropped.
type shared struct {
	set         []string
	opts        bench.Options
	seeds, redo int
	on          string // engine
	out, resume string
	asJSON      bool
	noWait      bool
	listen      string
	contestants []string
	serviceFlags

	verb     string
	as       string            // what the verb's files and folder are called; "": as the verb
	fallback string            // scenario, if none is named; "": one must be
	searches bool              // for the number of broken leases
	watched  bool              // there is --listen
	preset   []string          // keys that the verb sets before the user does
	breaks   bool              // leases by a cause of its own: the scenario's number is not used
	refuses  map[string]string // by flag: why
	own      []string          // flags of the verb itself
	fewest   int               // seeds
	runner   bench.Runner
	place    study.Place // of the runs
	view     *view       // once runs are made
	notes    []string    // what the first lines say
	saved    bool        // the study was begun in an earlier run
}

// add defines the flags.
func (f *shared) add(cmd *cobra.Command, engineDefault string, seeds int) {
	f.verb, f.fewest = cmd.Name(), min(1, seeds)
	cmd.Flags().VisitAll(func(own *pflag.Flag) { f.own = append(f.own, own.Name) })
	for _, k := range keyFlags {
		cmd.Flags().String(k.flag, "", keyDoc(k.key))
	}
	cmd.Flags().StringArrayVar(&f.set, "set", nil, "set a key of the scenario, as in --set rho=0.4 --set spread=0.5s")
	contestantsFlag(cmd, &f.contestants, "contestants to compare")
	cmd.Flags().StringVar(&f.on, "engine", engineDefault, "real: on this host's cores; virtual: in virtual time; target: against a service of yours, --target URL")
	cmd.Flags().IntVar(&f.seeds, "seeds", seeds, "number of repetitions; run i has the seed --seed + i")
	cmd.Flags().Uint64Var(&f.opts.Seed, "seed", 1, "seed of all randomness; 0: a random one, which is printed")
	cmd.Flags().IntVar(&f.opts.MaxQueue, "max-queue", 50_000_000, "queue length in attempts that ends a run, with its verdict, before the host swaps (40 bytes each); 0: no limit")
	cmd.Flags().StringVar(&f.opts.Idle, "idle", "", "real engine: how threads wait for work: "+strings.Join(engine.Idles, ", ")+" (default "+engine.Idles[0]+")")
	cmd.Flags().StringVar(&f.out, "out", "", `folder to make for the files; "none": no files (default results/<time>-<verb>-<scenario>)`)
	cmd.Flags().StringVar(&f.resume, "resume", "", "folder of an interrupted study to go on with")
	cmd.Flags().IntVar(&f.redo, "redo", defaultRedo, "real engine: how often a run that the host spoils is made again")
	cmd.Flags().BoolVar(&f.noWait, "no-wait", false, "real engine: do not wait for a quiet host")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print the result as one JSON object on stdout, and nothing else there")
	f.serviceFlags.add(cmd)
	f.addOutage(cmd)
	cmd.Flags().StringVar(&f.listen, "listen", "", "address HOST:PORT for a live page and metrics for Prometheus, as in 127.0.0.1:0; without a host: loopback only; port 0: a free port, which is printed")
	if f.refuses == nil {
		f.refuses = map[string]string{}
	}
	if f.searches {
		f.refuses["broken"] = "the number of broken leases is what is searched for"
	}
	if !f.watched {
		f.refuses["listen"] = "its runs are many and short, and its progress is on stderr; run, sim, bench, rank, remedy, fairness and incident show theirs live"
	}
	for name := range f.refuses {
		if cmd.Flags().Lookup(name) == nil {
			panic(cmd.Name() + " refuses a flag that there is not: " + name)
		}
		hide(cmd, name)
	}
	cmd.Args = f.args
}

// args takes one scenario; none with --resume, or where the verb has one of its own.
func (f *shared) args(cmd *cobra.Command, args []string) error {
	if f.resume != "" {
		return noArgs(cmd, args)
	}
	if len(args) == 1 || len(args) == 0 && f.fallback != "" {
		return nil
	}
	return usage(fmt.Errorf("%s takes one scenario, not %d; 'leasestorm list' shows them", cmd.Name(), len(args)))
}

// typed says whether the user gave a flag, or the key that it sets.
func (f *shared) typed(cmd *cobra.Command, flag string) bool {
	key := flag
	for _, k := range keyFlags {
		if k.flag == flag {
			key = k.key
		}
	}
	return cmd.Flags().Changed(flag) || slices.ContainsFunc(f.set, func(a string) bool { return strings.HasPrefix(a, key+"=") })
}

// refused is the error for the first flag that the verb does not take.
func (f *shared) refused(cmd *cobra.Command) error {
	for _, name := range slices.Sorted(maps.Keys(f.refuses)) {
		if f.typed(cmd, name) {
			return usage(fmt.Errorf("%s takes no --%s: %s", cmd.Name(), name, f.refuses[name]))
		}
	}
	if err := f.refusedByService(cmd); err != nil {
		return err
	}
	if f.on == "virtual" {
		for _, name := range []string{"redo", "no-wait", "idle"} {
			if cmd.Flags().Changed(name) {
				return usage(fmt.Errorf("--%s goes with --engine real: in virtual time nothing waits and no host spoils a run", name))
			}
		}
	}
	return nil
}

// settle takes the Runner that --engine names. Waits and further tries are a measured run's.
func (f *shared) settle() (err error) {
	if f.runner, err = bench.RunnerOf(f.on); err != nil {
		return badScenario(err)
	}
	if f.on == (bench.Target{}).Name() {
		if f.opts.Target, err = f.service(); err != nil {
			return err
		}
		f.noWait, f.redo = true, 0 // what keeps this host busy may be the service
	}
	switch {
	case !f.runner.Alone():
		f.redo = 0
	case !f.noWait:
		f.opts.Wait = defaultWait
	}
	return f.check()
}

// load reads the scenario that is named, or the verb's own, and applies the flags.
func (f *shared) load(cmd *cobra.Command, args []string) (s scenario.Scenario, err error) {
	if err := cmp.Or(f.refused(cmd), f.settle()); err != nil {
		return s, err
	}
	if f.opts.Target != nil {
		if err := f.foreign(cmd); err != nil {
			return s, err
		}
	}
	name := f.fallback
	if len(args) == 1 {
		name = args[0]
	}
	if s, err = scenario.Load(name); err != nil {
		return s, usage(err)
	}
	set := f.assignments(cmd)
	if f.searches {
		set = append([]string{"broken=1"}, set...) // any number of leases has one
	}
	set = append(slices.Clone(f.preset), set...)
	if f.breaks {
		set = append([]string{"broken=0"}, set...)
	}
	if err := s.Set(set...); err != nil {
		return s, usage(err)
	}
	if f.searches {
		s.Broken = max(1, s.MostBroken()/10) // where a search on real cores begins
	}
	s.ServiceLaw = bench.AbsoluteService(s.ServiceLaw)
	if f.opts.Target != nil {
		f.size(cmd, &s, stormLeases)
		if f.opts.Target.Client.Prime {
			f.note("ρ, σ and workers of the scenario are not used: each run measures what the service can do; --call prime=false takes them")
		}
		from := scenario.Default()
		for _, set := range s.Differences(&from) {
			if key, _, _ := strings.Cut(set, "="); key != "rho" && key != "sigma" && key != "workers" && bench.Foreign(key, true) != "" {
				f.note("the scenario's %s is not used: %s", set, bench.Foreign(key, true))
			}
		}
	}
	if !f.runner.Alone() {
		s.Workers = max(1, s.Workers)
	}
	return s, nil
}

// assignments are the keys that flags set.
func (f *shared) assignments(cmd *cobra.Command) (all []string) {
	for _, k := range keyFlags {
		if flag := cmd.Flags().Lookup(k.flag); flag.Changed {
			all = append(all, k.key+"="+flag.Value.String())
		}
	}
	return append(all, f.set...)
}

// check says which flag is out of range.
func (f *shared) check() error {
	switch {
	case f.seeds < f.fewest || f.seeds > scenario.MaxSeeds:
		return usage(fmt.Errorf("--seeds %d is out of range: %d to 10000 seeds", f.seeds, f.fewest))
	case f.opts.MaxQueue < 0:
		return usage(fmt.Errorf("--max-queue %d is out of range: 0 (no limit) or more attempts", f.opts.MaxQueue))
	case f.redo < 0 || f.redo > study.MaxRedo:
		return usage(fmt.Errorf("--redo %d is out of range: 0 to %d further tries", f.redo, study.MaxRedo))
	}
	return nil
}

// pick settles the contestants: those that are listed, or the one that --queue, --admit and
// --retry make, or else the verb's own.
func (f *shared) pick(cmd *cobra.Command, s *scenario.Scenario, own []string) error {
	for _, part := range []string{"queue", "admit", "retry"} {
		switch {
		case !f.typed(cmd, part):
		case cmd.Flags().Changed("contestants"):
			return usage(fmt.Errorf("--%s makes one contestant, and --contestants lists several: leave one of them out (a contestant is queue, queue/admit or queue/admit/retry)", part))
		default:
			f.contestants = []string{study.Own(s)}
		}
	}
	if len(f.contestants) == 0 {
		f.contestants = own
		if f.opts.Target != nil {
			f.contestants = study.WithOwn(s, study.RetryContestants(admit.Retries.Names()))
		}
	}
	if f.opts.Target != nil { // there, a contestant is a retry policy
		f.contestants = study.RetryContestants(f.contestants)
	}
	return nil
}

// last lets runs go on for so many timeouts after the return, if the user has not said how long.
func (f *shared) last(cmd *cobra.Command, s *scenario.Scenario, timeouts int) {
	most := min(time.Duration(timeouts)*s.Timeout, 24*time.Hour)
	if f.typed(cmd, "duration") || s.Duration >= most {
		return
	}
	s.Duration = most
	f.note("runs go on for up to %d timeouts (%v) after the return; --duration sets another length", timeouts, most)
}

// size makes a scenario smaller whose runs the study makes by the hundred, if the user has not
// said which size it is to have.
func (f *shared) size(cmd *cobra.Command, s *scenario.Scenario, leases int) {
	if f.typed(cmd, "leases") || f.typed(cmd, "broken") {
		return
	}
	if from := s.Leases; s.Shrink(leases) {
		f.note("scaled down from %d to %d leases, at the same ρ and β, since there are many runs: --leases %d runs it in full", from, leases, from)
	}
}

func (f *shared) note(format string, args ...any) {
	f.notes = append(f.notes, fmt.Sprintf(format, args...))
}

// tell prints what is run, and the notes.
func (f *shared) tell(s *scenario.Scenario) {
	shown := *s
	shown.Workers = bench.WorkersOf(f.runner, s)
	if text, err := shown.Summary(); err == nil { // else the run says why there is no such scenario
		fmt.Fprintln(os.Stderr, text)
	}
	for _, n := range f.notes {
		fmt.Fprintln(os.Stderr, n)
	}
}

// method says how a study makes its runs.
func (f *shared) method() study.Method {
	return study.Method{Target: f.opts.Target, Engine: f.on, Idle: f.opts.Idle, MaxQueue: f.opts.MaxQueue, Wait: f.opts.Wait.Seconds(), Redo: f.redo}
}

// how are the flags for a suite.
func (f *shared) how() study.How {
	return study.How{Method: f.method(), Seed: f.opts.Seed, Seeds: f.seeds}
}

// folder is that of the study to go on with, or a fresh one, for which prepare settles what to lay
// out and the name. keeps is what the study keeps in it, and cannot do without.
func (f *shared) folder(cmd *cobra.Command, keeps string, prepare func() (layOut func(dir string) error, name []string, err error)) (dir string, err error) {
	if f.place, err = elsewhere(cmd); err != nil {
		return "", err
	}
	switch {
	case f.resume != "":
		if dir, err = f.resume, f.only(cmd, "resume", "json", "listen"); err == nil {
			err = f.open(cmd)
		}
	case f.out == "none":
		err = usage(fmt.Errorf("%s keeps %s: name another folder than none", cmd.Name(), keeps))
	default:
		var layOut func(dir string) error
		var name []string
		if layOut, name, err = prepare(); err == nil {
			err = f.open(cmd)
		}
		if err == nil {
			err = fresh(f.out, func(d string) error {
				dir = d
				return layOut(d)
			}, name...)
		}
	}
	if err != nil {
		return "", badScenario(err)
	}
	hint.Store(fmt.Sprintf("to go on: leasestorm %s --resume %s", cmd.Name(), dir))
	return dir, nil
}

// suite runs the suite in a folder.
func (f *shared) suite(cmd *cobra.Command, dir string) (study.Runs, error) {
	bars := newBars(os.Stderr, f.view.hub)
	runs, err := study.RunSuite(cmd.Context(), dir, f.place, bars)
	bars.close()
	if err != nil {
		return runs, resumable(err)
	}
	fmt.Fprint(os.Stderr, runs.RefusedText())
	return runs, nil
}

// studyFile is what --resume reads: what was asked.
const studyFile = "study.json"

// asked is the content of studyFile.
type asked struct {
	Schema   int               `json:"schema"`
	Verb     string            `json:"verb"`
	Flags    map[string]string `json:"flags"`       // of the verb itself, and those that are no keys
	Many     []string          `json:"contestants"` // in order
	Scenario string            `json:"scenario_toml"`
	Build    bench.BuildInfo   `json:"build"`
}

// kept are the flags that studyFile holds beside the verb's own.
var kept = append([]string{"engine", "seeds", "seed", "max-queue", "idle", "redo", "no-wait"}, ofService...)

// begin reads what is asked, makes or takes up the study's folder and calls do with a Runner that
// remembers. prepare settles what the verb makes of a fresh scenario.
func (f *shared) begin(cmd *cobra.Command, args []string, prepare func(s *scenario.Scenario) error, do func(s scenario.Scenario, runner bench.Runner, dir string) error) (err error) {
	if f.place, err = elsewhere(cmd); err != nil {
		return err
	}
	if f.resume != "" {
		return f.goOn(cmd, do)
	}
	s, err := f.load(cmd, args)
	if err == nil {
		err = prepare(&s)
	}
	if err != nil {
		return badScenario(err)
	}
	f.opts.Seed = bench.DrawSeed(f.opts.Seed)
	if f.out == "none" {
		return f.carryOut(cmd, s, "", do)
	}
	dir := ""
	a := asked{Schema: bench.ManifestSchema, Verb: f.verb, Flags: map[string]string{}, Many: f.contestants, Scenario: s.TOML(), Build: bench.ReadBuildInfo()}
	for _, name := range slices.Concat(kept, f.own) {
		if flag := cmd.Flags().Lookup(name); flag != nil && (flag.Changed || name == "seed") {
			a.Flags[name] = flag.Value.String()
		}
	}
	a.Flags["seed"] = fmt.Sprint(f.opts.Seed)
	if err := fresh(f.out, func(d string) error {
		dir = d
		return study.LayOut(d, studyFile, a)
	}, f.verb, cmp.Or(f.as, s.Name)); err != nil {
		return err
	}
	err = f.carryOut(cmd, s, dir, do)
	if e, ok := errors.AsType[*exitError](err); ok && e.status == exitUsage {
		// There is no such study: what was laid out for it goes, unless a run was made.
		if info, none := os.Stat(filepath.Join(dir, study.RunsFile)); none == nil && info.Size() == 0 {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}
	return err
}

// goOn takes up an interrupted study.
func (f *shared) goOn(cmd *cobra.Command, do func(s scenario.Scenario, runner bench.Runner, dir string) error) error {
	if err := f.only(cmd, "resume", "json"); err != nil {
		return err
	}
	what := f.verb
	if f.as != "" {
		what = f.as + " table"
	}
	var a asked
	if err := study.ReadLayout(filepath.Join(f.resume, studyFile), what, &a, &a.Schema); err != nil {
		return err
	}
	if a.Verb != f.verb {
		return usage(fmt.Errorf("%s is the folder of a %s: leasestorm %s --resume %s goes on with it", f.resume, a.Verb, a.Verb, f.resume))
	}
	s, err := scenario.Parse(studyFile, []byte(a.Scenario))
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(a.Flags)) {
		if err := setFlag(cmd, name, a.Flags[name]); err != nil {
			return fmt.Errorf("%s: %s: %w", filepath.Join(f.resume, studyFile), name, err)
		}
	}
	f.contestants, f.saved = a.Many, true
	if err := f.settle(); err != nil {
		return err
	}
	return f.carryOut(cmd, s, f.resume, do)
}

func (f *shared) carryOut(cmd *cobra.Command, s scenario.Scenario, dir string, do func(s scenario.Scenario, runner bench.Runner, dir string) error) (err error) {
	f.tell(&s)
	runner, err := study.Remember(f.runner, dir, f.redo)
	if err != nil {
		return err
	}
	defer func() { err = badScenario(errors.Join(err, runner.Close())) }() // the place's end comes first
	here, end, err := f.place.Open(dir, f.runner)
	if err != nil {
		return err
	}
	defer func() { err = end(err) }()
	runner.Runner = here
	if dir != "" {
		hint.Store(fmt.Sprintf("to go on: leasestorm %s --resume %s", f.verb, dir))
	}
	f.opts.Folder = ""
	return do(s, runner, dir)
}

// only refuses all flags but some, which go with --resume.
func (f *shared) only(cmd *cobra.Command, with ...string) (err error) {
	cmd.Flags().Visit(func(flag *pflag.Flag) {
		if _, where := flag.Annotations[movedBy]; !where && !slices.Contains(with, flag.Name) {
			err = cmp.Or(err, usage(fmt.Errorf("--resume goes on with the %s as it was begun: leave out --%s", cmd.Name(), flag.Name)))
		}
	})
	return err
}

// save writes a study's result into its folder, as JSON, as text and as a page, and prints it.
func (f *shared) save(ctx context.Context, w io.Writer, dir string, v any, text func() string) error {
	if dir == "" {
		return f.print(w, v, text)
	}
	shown := text()
	err := writeAll(dir, map[string]func(io.Writer) error{
		cmp.Or(f.as, f.verb) + ".json": func(w io.Writer) error { return printJSON(w, v, record.JSON) },
		cmp.Or(f.as, f.verb) + ".txt":  record.Text(shown),
	})
	page := ""
	if err == nil {
		page, err = pageOf(ctx, dir)
	}
	return errors.Join(f.print(w, v, func() string { return shown + fmt.Sprintf("\nfiles: %s\n", dir) + page }), err)
}

// saveDrawn is save for a result with figures, which are drawn from the file of that name.
func (f *shared) saveDrawn(ctx context.Context, w io.Writer, dir, file string, v any, text func() string) (err error) {
	var figures strings.Builder
	if dir != "" {
		if err = record.WriteFile(filepath.Join(dir, file), record.JSON(v)); err == nil {
			figures.WriteString("\n")
			err = drawFigures(ctx, &figures, dir)
		}
	}
	return errors.Join(f.save(ctx, w, dir, v, func() string { return text() + figures.String() }), err)
}

// print prints a result as one JSON object, or for a person.
func (f *shared) print(w io.Writer, v any, text func() string) error {
	if f.asJSON {
		return printJSON(w, v, record.JSON)
	}
	return record.Text(text())(w)
}

// printJSON prints v with the number of its schema first, where v is an object that has none: who
// keeps what --json prints learns from it which version's keys these are. A list becomes the object's
// rows.
func printJSON(w io.Writer, v any, form func(any) func(io.Writer) error) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if text[0] == '[' {
		text = fmt.Appendf(nil, `{"rows":%s}`, text)
	}
	var has struct {
		Schema int `json:"schema"`
	}
	if text[0] == '{' && json.Unmarshal(text, &has) == nil && has.Schema == 0 {
		text = append(fmt.Appendf(nil, `{"schema":%d,`, bench.ManifestSchema), text[1:]...)
	}
	return form(json.RawMessage(text))(w)
}
