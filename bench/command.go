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

// command is the shell command that repeats the run. It names a built-in scenario, every key
// that differs from it, and every option that the run's files depend on. It must be run in the
// run's folder, where the runbook is.
func (x *experiment) command(on string) string {
	words := []string{"leasestorm", "run"}
	switch {
	case x.runbook != nil:
		words[1] = "drill"
	case on == "virtual":
		words[1] = "sim"
	}
	base, err := scenario.Load(x.Asked.Name)
	if err != nil {
		base, err = scenario.Load("surge")
	}
	if err != nil {
		panic(err) // it is built in
	}
	words = append(words, base.Name)
	asked := x.Asked
	asked.ServiceLaw = AbsoluteService(asked.ServiceLaw)
	for _, set := range asked.Differences(&base) {
		words = append(words, "--set", set)
	}
	words = append(words, "--seed", fmt.Sprint(x.seed), "--max-queue", fmt.Sprint(x.how.MaxQueue))
	if x.runbook != nil {
		words = append(words, "--runbook", runbookFile, "--engine", on)
	}
	if on == "real" && x.how.Idle != engine.Idles[0] {
		words = append(words, "--idle", x.how.Idle)
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
