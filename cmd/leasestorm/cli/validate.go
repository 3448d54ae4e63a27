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
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/oracle"
	"github.com/leasestorm/leasestorm/bench/published"
	"github.com/leasestorm/leasestorm/bench/scenario"
	"github.com/leasestorm/leasestorm/bench/study"
)

// exitDisagrees is the status of a validation in which a row fails.
const exitDisagrees = 3

func validateCommand() *cobra.Command {
	var (
		m        oracle.Model
		arrivals int
		which    string
		length   time.Duration
		seed     uint64
		asJSON   bool
		engines  bool
		set      []string
		points   bool
		seeds    int
		out      string
	)
	cmd := &cobra.Command{
		Use:   "validate",
		Short: "check both engines against closed forms of queueing theory",
		Long: `Runs queues with known closed forms and compares: M/M/c, M/D/1, M/G/1 with a lognormal, M/M/c/K,
M/M/1 with impatient customers, the machine repairman, M/M/c served in random order and last come
first served, and Little's law on each. The virtual
engine runs all of them. What the real engine has no room for on this host is left out, and
named. The real engine runs with one worker, and is compared at the load that
was measured.

With --published it runs what others have published, on the virtual engine, each from a scenario that --out
writes, and says whether ours agrees: a published number with the 95 % interval of ours, a count of seeds by
the interval of the difference, the end of one run with that of most of our seeds. A result that differs is a
finding, for which a reason is printed, and no failure.

The tolerance is the 99.9 % interval of batch means. A run whose batches are too short for it is
refused; the error names the number of customers that is needed. The exit status is 3 if a row
fails. On a shared host rows of the real engine may fail, since the host's gaps are waits too.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !slices.Contains([]string{"virtual", "real", "both"}, which) {
				return usage(fmt.Errorf("--engine %q: want virtual, real or both", which))
			}
			if length <= 0 || length > time.Hour {
				return usage(fmt.Errorf("--length %v is out of range: above 0, up to 1h", length))
			}
			for _, name := range []string{"seeds", "out"} {
				if cmd.Flags().Changed(name) && !points {
					return usage(fmt.Errorf("--%s is about published results: it goes with --published", name))
				}
			}
			if points {
				for _, name := range append(slices.Clone(ofModels), "engines", "set") {
					if cmd.Flags().Changed(name) {
						return usage(fmt.Errorf("--%s is not about published results, which run on the virtual engine as they are: leave it or --published out", name))
					}
				}
				if seeds < 0 || seeds > scenario.MaxSeeds {
					return usage(fmt.Errorf("--seeds %d is out of range: 1 to %d; 0: as many as each result has", seeds, scenario.MaxSeeds))
				}
				return atPlace(cmd, func(runner bench.Runner) error {
					return validatePublished(cmd, published.Options{At: runner, Seed: seed, Seeds: seeds}, out, asJSON)
				})
			}
			if engines {
				for _, name := range ofModels {
					if cmd.Flags().Changed(name) {
						return usage(fmt.Errorf("--%s is about models, and --engines compares scenarios: leave one of them out", name))
					}
				}
				if err := here(cmd, "is not for --engines: each virtual run takes the service times that a run on this host's cores measured"); err != nil {
					return err
				}
				return compareEngines(cmd, seed, set, asJSON)
			}
			if which == "real" {
				if err := here(cmd, "is for the virtual engine's rows: those of the real engine measure this host"); err != nil {
					return err
				}
			}
			if len(set) > 0 {
				return usage(errors.New("--set is about scenarios: it goes with --engines"))
			}
			if err := parametersOf(cmd, m.Name); err != nil {
				return err
			}
			return validateModels(cmd, m, which, length, arrivals, seed, &rowPrinter{w: cmd.OutOrStdout(), json: asJSON})
		},
	}
	cmd.Flags().StringVar(&m.Name, "model", "", "one model: mmc, md1, mg1, mmck, impatient, repairman, random, lifo (default: all, with several parameters each)")
	cmd.Flags().StringVar(&which, "engine", "both", "virtual, real or both")
	cmd.Flags().DurationVar(&length, "length", 3*time.Second, "length of a model's run on the real engine")
	cmd.Flags().Float64Var(&m.Think, "think", 8, "repairman: mean time that a customer thinks, in mean services")
	cmd.Flags().IntVar(&m.Servers, "servers", 1, "servers")
	cmd.Flags().Float64Var(&m.Rho, "rho", 0.8, "offered load over capacity")
	cmd.Flags().IntVar(&m.K, "k", 10, "mmck: places, those in service included; repairman: customers")
	cmd.Flags().Float64Var(&m.CV, "cv", 2, "mg1: coefficient of variation of the service")
	cmd.Flags().Float64Var(&m.Timeout, "timeout", 10, "impatient: time that a customer waits, in mean services")
	cmd.Flags().IntVar(&arrivals, "arrivals", 1_000_000, "customers per model")
	cmd.Flags().Uint64Var(&seed, "seed", 1, "seed of all randomness")
	cmd.Flags().BoolVar(&engines, "engines", false, "compare the engines with each other instead: built-in scenarios on both, the virtual engine with the service times that the real engine measured (three minutes)")
	cmd.Flags().StringArrayVar(&set, "set", nil, "with --engines: set a key of all scenarios, as in --set leases=200000")
	cmd.Flags().BoolVar(&points, "published", false, "make published results again instead, on the virtual engine, and compare (a minute)")
	cmd.Flags().IntVar(&seeds, "seeds", 0, "with --published: runs of each result, at most; 0: as many as it has")
	cmd.Flags().StringVar(&out, "out", "", "with --published: a new folder for the table, published.json and the scenarios")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per row, one per line")
	return cmd
}

// ofModels are the flags about models.
var ofModels = []string{"model", "engine", "length", "think", "servers", "rho", "k", "cv", "timeout", "arrivals"}

// compareEngines prints a line a scenario as it comes.
func compareEngines(cmd *cobra.Command, seed uint64, set []string, asJSON bool) error {
	out := cmd.OutOrStdout()
	e := json.NewEncoder(out)
	if !asJSON {
		if _, err := io.WriteString(out, study.EnginesHead()); err != nil {
			return err
		}
	}
	var written error
	all, err := study.CompareEngines(cmd.Context(), bench.Options{Seed: seed}, set, func(p study.EnginePair) {
		err := error(nil)
		if asJSON {
			err = e.Encode(p)
		} else {
			_, err = io.WriteString(out, p.Text())
		}
		written = cmp.Or(written, err)
	})
	if err != nil {
		return badScenario(err)
	}
	if written != nil {
		return written
	}
	differ := 0
	for _, p := range all {
		if !p.Agree && p.Because == "" {
			differ++
		}
	}
	if differ > 0 {
		return &exitError{exitDisagrees, fmt.Errorf("%d of %d verdicts differ", differ, len(all))}
	}
	return nil
}

// parameters are the models that each flag of a model is for; where there are none, all.
var parameters = map[string][]string{
	"think": {"repairman"}, "rho": {"mmc", "md1", "mg1", "mmck", "impatient", "random", "lifo"}, "k": {"mmck", "repairman"}, "cv": {"mg1"}, "timeout": {"impatient"}, "servers": nil,
}

// parametersOf refuses a flag that the model does not heed.
func parametersOf(cmd *cobra.Command, model string) error {
	for _, name := range slices.Sorted(maps.Keys(parameters)) {
		of := parameters[name]
		switch {
		case !cmd.Flags().Changed(name):
		case model == "":
			return usage(fmt.Errorf("--%s is of one model: name it with --model", name))
		case of != nil && !slices.Contains(of, model) && slices.Contains(oracle.Names, model):
			return usage(fmt.Errorf("--%s is no parameter of model %s: it is of %s", name, model, strings.Join(of, ", ")))
		}
	}
	return nil
}

// atPlace does something where the flags say that runs in virtual time are made.
func atPlace(cmd *cobra.Command, do func(runner bench.Runner) error) error {
	place, err := elsewhere(cmd)
	if err != nil {
		return err
	}
	runner, end, err := place.Open("", bench.Virtual{})
	if err != nil {
		return err
	}
	return end(do(runner))
}

// measured is a model to be run on the virtual engine.
type measured struct {
	Model    oracle.Model `json:"model"`
	Arrivals int          `json:"arrivals"`
	Seed     uint64       `json:"seed"`
}

// measureModel runs a model on the virtual engine.
var measureModel = study.NewTask("model", func(ctx context.Context, m measured) ([]oracle.Row, error) {
	return oracle.Measure(ctx, m.Model, m.Arrivals, m.Seed)
})

// measureModels runs models on the virtual engine and prints their rows in the models' order. A model that is set
// aside has no rows, and is an error in the end.
func measureModels(ctx context.Context, runner bench.Runner, models []measured, out *rowPrinter) error {
	rows := make([][]oracle.Row, len(models))
	done := study.InOrder(len(models), func(i int) error {
		if rows[i] == nil {
			return nil
		}
		return out.print(rows[i])
	})
	return study.Each(ctx, runner, 1, len(models), func(ctx context.Context, i int) (err error) {
		if rows[i], err = measureModel.Do(ctx, runner, models[i]); err != nil && !errors.Is(err, study.ErrSetAside) {
			return err
		}
		return cmp.Or(done(i), err)
	})
}

// validateModels runs one model, or all if m has no name. Every run is checked before the
// first begins, and rows are printed as they come, so that an interrupt loses none. The real engine's
// runs come last, in this process: no run of this host's workers goes on beside them.
func validateModels(cmd *cobra.Command, m oracle.Model, which string, length time.Duration, arrivals int, seed uint64, out *rowPrinter) error {
	ctx := cmd.Context()
	var virtual []measured
	var real []oracle.Model
	models := func(all []oracle.Model) []oracle.Model {
		if m.Name != "" {
			return []oracle.Model{m}
		}
		return all
	}
	if which != "real" {
		for _, m := range models(oracle.Defaults()) {
			if err := oracle.Check(m, arrivals); err != nil {
				return usage(err)
			}
			virtual = append(virtual, measured{m, arrivals, seed})
		}
	}
	if which != "virtual" {
		for _, m := range models(oracle.RealDefaults()) {
			if err := oracle.CheckReal(m, length); err != nil {
				if which == "real" {
					return usage(err)
				}
				fmt.Fprintf(os.Stderr, "the real engine's rows of %s are left out: %v\n", m.Name, err)
				continue
			}
			real = append(real, m)
		}
	}
	if len(virtual) > 0 {
		if err := atPlace(cmd, func(runner bench.Runner) error { return measureModels(ctx, runner, virtual, out) }); err != nil {
			return err
		}
	}
	for _, m := range real {
		rows, err := oracle.MeasureReal(ctx, m, length, seed)
		if err == nil {
			err = out.print(rows)
		}
		if err != nil {
			return err
		}
	}
	return out.verdict()
}

// rowPrinter prints rows and counts those that fail.
type rowPrinter struct {
	w            io.Writer
	json         bool
	rows, failed int
}

func (p *rowPrinter) print(rows []oracle.Row) error {
	var b strings.Builder
	if !p.json && p.rows == 0 {
		fmt.Fprintf(&b, "%-8s %-34s %-22s %12s %12s %12s %12s\n", "engine", "model", "quantity", "measured", "theory", "difference", "tolerance")
	}
	e := json.NewEncoder(&b)
	for _, r := range rows {
		p.rows++
		verdict := "pass"
		if !r.Pass {
			verdict = "FAIL"
			p.failed++
		}
		if p.json {
			if err := e.Encode(r); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(&b, "%-8s %-34s %-22s %12.6f %12.6f %+12.6f %12.6f  %s\n", r.Engine, r.Params, r.Quantity, r.Measured, r.Theory, r.Measured-r.Theory, r.Tolerance, verdict)
	}
	_, err := io.WriteString(p.w, b.String())
	return err
}

func (p *rowPrinter) verdict() error {
	if p.failed > 0 {
		return &exitError{exitDisagrees, fmt.Errorf("%d of %d quantities disagree with theory", p.failed, p.rows)}
	}
	return nil
}
