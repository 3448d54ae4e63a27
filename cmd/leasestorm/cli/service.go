package cli

import (
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/client"
	"github.com/leasestorm/leasestorm/bench/scenario"
)

// serviceFlags say which service that is not ours is asked, and how.
type serviceFlags struct {
	url     string
	client  []string
	outage  string
	mayLoad []string
}

// ofService are their names.
var ofService = []string{"target", "call", "outage", "i-may-load-this"}

// defaultOutage is what the outage of a service is, if nobody says.
const defaultOutage = "refuse"

func (f *serviceFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.url, "target", "", "URL of the service that --engine target asks: http or https; in the command of 'make storm' also grpc, grpcs, etcd, etcds")
	cmd.Flags().StringArrayVar(&f.client, "call", nil, "how it is asked: a TOML file of requests, answers, connections and limits, or one key of it, as in --call connections.cancel=false")
	cmd.Flags().StringArrayVar(&f.mayLoad, "i-may-load-this", nil, "host beside loopback that may be loaded: you own it, or its owner agrees")
}

func (f *serviceFlags) addOutage(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.outage, "outage", defaultOutage, "engine target: how the outage is made: refuse, hang, slow:DURATION, empty (by a proxy before the service), exec:COMMAND, a URL to POST to, none")
}

// service is the service that the flags name.
func (f *serviceFlags) service() (*bench.Service, error) {
	if f.url == "" {
		return nil, usage(errors.New("--engine target asks a service of yours: name it with --target URL, or use 'leasestorm storm URL'"))
	}
	s := bench.Service{Client: client.Default(), Outage: f.outage, MayLoad: f.mayLoad}
	var set []string
	for i, text := range f.client {
		if key, _, pair := strings.Cut(text, "="); pair && !strings.ContainsAny(key, "/") && !strings.HasSuffix(key, ".toml") {
			set = append(set, text)
			continue
		}
		if i > 0 {
			return nil, usage(fmt.Errorf("--call %s: one file, and before the keys", text))
		}
		file, err := os.ReadFile(text)
		if err != nil {
			return nil, usage(fmt.Errorf("--call: %w", err))
		}
		if s.Client, err = client.Parse(text, file); err != nil {
			return nil, usage(err)
		}
	}
	if err := s.Client.Set(set...); err != nil {
		return nil, usage(fmt.Errorf("--call: %w", err))
	}
	s.Client.URL = f.url
	if err := s.Client.Validate(); err != nil {
		return nil, usage(err)
	}
	if err := client.Allowed(f.url, f.mayLoad); err != nil {
		return nil, usage(err)
	}
	return &s, nil
}

// refusedByService is the error for the first flag that does not go with the engine: those of a service
// with the others, and with a service what the service decides on.
func (f *shared) refusedByService(cmd *cobra.Command) error {
	if f.on != (bench.Target{}).Name() {
		for _, name := range ofService {
			if cmd.Flags().Changed(name) {
				return usage(fmt.Errorf("--%s goes with --engine target, or with 'leasestorm storm'", name))
			}
		}
		return nil
	}
	for name, why := range map[string]string{
		"idle": "the generator of a storm sleeps between its turns", "no-wait": "a storm waits for no quiet host: what keeps it busy may be the service",
		"redo": "a storm is never made again by itself",
	} {
		if cmd.Flags().Changed(name) {
			return usage(fmt.Errorf("--%s goes with --engine real: %s", name, why))
		}
	}
	return nil
}

// foreign is the error for the first key that was set and that only the service decides on.
func (f *shared) foreign(cmd *cobra.Command) error {
	for _, set := range f.assignments(cmd) {
		key, _, _ := strings.Cut(set, "=")
		if why := bench.Foreign(key, f.opts.Target.Client.Prime); why != "" {
			return usage(fmt.Errorf("%s: against a service it has no effect: %s", key, why))
		}
	}
	return nil
}

// setFlag sets a flag as it was written to a study's file: a list as its text shows it.
func setFlag(cmd *cobra.Command, name, value string) error {
	if list, ok := cmd.Flags().Lookup(name).Value.(pflag.SliceValue); ok {
		all, err := csv.NewReader(strings.NewReader(strings.TrimSuffix(strings.TrimPrefix(value, "["), "]"))).Read()
		if err != nil {
			return err
		}
		cmd.Flags().Lookup(name).Changed = true
		return list.Replace(all)
	}
	return cmd.Flags().Set(name, value)
}

var errBeta = usage(errors.New("axis beta: --engine target takes none: β follows from a capacity that is measured before each run: take broken"))

// axis refuses an axis along which only the service could move.
func (f *shared) axis(s *scenario.Scenario, r scenario.Range) error {
	if f.opts.Target == nil {
		return nil
	}
	a, err := scenario.FindAxis(r.Axis)
	if err != nil {
		return err
	}
	if key, _, _ := strings.Cut(r.Axis, "."); r.OfPart() && bench.Foreign(key, true) != "" {
		return usage(fmt.Errorf("axis %s: --engine target takes none: %s", r.Axis, bench.Foreign(key, true)))
	} else if r.OfPart() {
		return nil // the contestant's part has it or not
	}
	moved := *s
	if err := a.Set(&moved, (r.Low+r.High)/2); err != nil {
		return err
	}
	for _, set := range moved.Differences(s) {
		key, _, _ := strings.Cut(set, "=")
		if why := bench.Foreign(key, true); why != "" {
			return usage(fmt.Errorf("axis %s: --engine target takes none: %s", r.Axis, why))
		}
	}
	if a.Name == "beta" {
		return errBeta
	}
	return nil
}
