package bench

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/leasestorm/leasestorm/bench/engine"
	"github.com/leasestorm/leasestorm/bench/scenario"
)

// runbookFile is the name, in a run's folder, of the runbook that was played.
const runbookFile = "runbook.toml"

// command is the shell command that repeats the run. It must be run in the run's folder, where the
// runbook is.
func (x *experiment) command(on string) string {
	o := x.how
	o.Seed, o.Runbook = x.seed, x.runbook
	return Command(x.Asked, o, on)
}

// Command returns the shell command that runs a scenario on an engine, "real", "virtual" or "target". It
// names a built-in scenario, every key that differs from it, and every option that the run's files depend
// on. A runbook and the settings of a client are expected in the working folder.
func Command(s scenario.Scenario, o Options, on string) string {
	words := []string{"leasestorm", "run"}
	switch {
	case o.Runbook != nil:
		words[1] = "drill"
	case on == "virtual":
		words[1] = "sim"
	}
	base, err := scenario.Load(s.Name)
	if err != nil {
		base, err = scenario.Load("surge")
	}
	if err != nil {
		panic(err) // it is built in
	}
	if on == "target" && o.Runbook == nil {
		words = []string{"leasestorm", "storm", o.Target.Client.URL}
	}
	words = append(words, base.Name)
	s.ServiceLaw = AbsoluteService(s.ServiceLaw)
	for _, set := range s.Differences(&base) {
		if key, _, _ := strings.Cut(set, "="); on == "target" && Foreign(key, o.Target.Client.Prime) != "" {
			continue // it changed nothing
		}
		words = append(words, "--set", set)
	}
	words = append(words, "--seed", fmt.Sprint(o.Seed), "--max-queue", fmt.Sprint(o.MaxQueue))
	if o.Runbook != nil {
		words = append(words, "--runbook", runbookFile, "--engine", on)
	}
	if on == "real" && o.Idle != engine.Idles[0] {
		words = append(words, "--idle", o.Idle)
	}
	if on == "target" {
		if o.Runbook != nil {
			words = append(words, "--target", o.Target.Client.URL)
		}
		words = append(words, "--call", SettingsFile, "--outage", o.Target.Outage)
		for _, host := range o.Target.MayLoad {
			words = append(words, "--i-may-load-this", host)
		}
	}
	for i, w := range words {
		words[i] = ShellWord(w)
	}
	return strings.Join(words, " ")
}

// AbsoluteService returns a service_law whose folder, of a measured distribution, is absolute.
func AbsoluteService(service string) string {
	if dir, ok := strings.CutPrefix(service, scenario.MeasuredServices); ok {
		if abs, err := filepath.Abs(dir); err == nil {
			return scenario.MeasuredServices + abs
		}
	}
	return service
}

// ShellWord quotes a word for a POSIX shell, if necessary.
func ShellWord(w string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-+=:,./@%", r)
	}
	if w != "" && strings.IndexFunc(w, func(r rune) bool { return !plain(r) }) < 0 {
		return w
	}
	return "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
}
