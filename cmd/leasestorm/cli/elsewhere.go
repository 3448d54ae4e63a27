package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/study"
)

// Elsewhere makes the runs of a study in other processes. A program of another module gives one to [Main].
type Elsewhere interface {
	// Flags adds the flags by which a user asks for it to a verb's. A study does not keep them: a study
	// that is resumed may be given others.
	Flags(verb string, flags *pflag.FlagSet)
	// Place is where the flags say that the runs are made; nil: in this process.
	Place(ctx context.Context, verb string) (study.Place, error)
	// Generators is the Runner of a storm whose droplets are split over other processes, if the flags say
	// so, and what ends it; nil: this process is the only generator. mayLoad are the hosts beside
	// loopback that the user may load.
	Generators(ctx context.Context, mayLoad []string) (bench.Runner, func(), error)
	// Commands are verbs of its own.
	Commands() []*cobra.Command
}

// Flagged is an Elsewhere with flags that every verb has, as for a part that its module registers.
type Flagged interface {
	EveryVerb(flags *pflag.FlagSet)
}

// movable are the verbs whose runs can be made elsewhere.
var movable = []string{"bench", "drill", "experiment", "fairness", "incident", "map", "rank", "remedy", "sweep", "threshold", "validate"}

// unmoved are the other verbs that make runs, and why theirs stay in this process.
var unmoved = map[string]string{
	"border":        "each run of its search depends on the one before; 'threshold' makes many searches at a time",
	"find-collapse": "its searches are few, and each run of one depends on the run before",
	"run":           "it shows the runs of this process; 'rank' and 'sweep' make many",
	"sim":           "it shows the runs of this process; 'rank' and 'sweep' make many",
}

// Storm is the verb with Generators.
const Storm = "storm"

// elsewhereKey is that of the Elsewhere in a command's context.
type elsewhereKey struct{}

// movedBy marks a flag of an Elsewhere.
const movedBy = "leasestorm-elsewhere"

// extend adds what an Elsewhere has to the command.
func extend(root *cobra.Command, e Elsewhere) {
	for _, cmd := range root.Commands() {
		if why := unmoved[cmd.Name()]; why != "" {
			stays(cmd, why)
		}
		for _, verb := range append([]string{Storm}, movable...) {
			if cmd.Name() != verb {
				continue
			}
			own := pflag.NewFlagSet(verb, pflag.ContinueOnError)
			e.Flags(verb, own)
			own.VisitAll(func(flag *pflag.Flag) { flag.Annotations = map[string][]string{movedBy: nil} })
			cmd.Flags().AddFlagSet(own)
		}
	}
	if f, ok := e.(Flagged); ok {
		f.EveryVerb(root.PersistentFlags())
	}
	root.AddCommand(e.Commands()...)
}

// stays makes a verb refuse --cluster with its reason.
func stays(cmd *cobra.Command, why string) {
	const flag = "cluster"
	cmd.Flags().String(flag, "", "")
	hide(cmd, flag)
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if cmd.Flags().Changed(flag) {
			return usage(fmt.Errorf("%s takes no --%s: %s", cmd.Name(), flag, why))
		}
		return run(cmd, args)
	}
}

// here refuses the flags of an Elsewhere for what a movable verb does in this process.
func here(cmd *cobra.Command, why string) (err error) {
	cmd.Flags().Visit(func(flag *pflag.Flag) {
		if _, where := flag.Annotations[movedBy]; where {
			err = cmp.Or(err, usage(fmt.Errorf("--%s %s", flag.Name, why)))
		}
	})
	return err
}

// elsewhere is where the flags say that the verb's runs are made.
func elsewhere(cmd *cobra.Command) (study.Place, error) {
	e, ok := cmd.Context().Value(elsewhereKey{}).(Elsewhere)
	if !ok {
		return nil, nil
	}
	place, err := e.Place(cmd.Context(), cmd.Name())
	if f := cmd.Flags().Lookup("listen"); err == nil && place != nil && f != nil && f.Changed {
		return nil, usage(errors.New("--listen shows the runs of this process, and these are made in others: leave it out; the verb 'status' says how far the study is"))
	}
	return place, err
}

// generators takes the Runner of a storm over several processes, if the flags ask for one.
func (f *shared) generators(cmd *cobra.Command) (end func(), err error) {
	e, ok := cmd.Context().Value(elsewhereKey{}).(Elsewhere)
	if !ok || cmd.Name() != Storm {
		return func() {}, nil
	}
	runner, end, err := e.Generators(cmd.Context(), f.mayLoad)
	if err != nil || runner == nil {
		return func() {}, err
	}
	f.runner = runner
	return end, nil
}

// Exit returns err with an exit status.
func Exit(status int, err error) error { return &exitError{status, err} }

// Usage returns err with the exit status of a command that was called wrongly.
func Usage(err error) error { return usage(err) }
