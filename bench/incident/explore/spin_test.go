package explore

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/leasestorm/leasestorm/bench/incident/dns"
	"github.com/leasestorm/leasestorm/internal/need"
)

// defines are the macros of scripts/enactors.pml, by mend.
var defines = map[dns.Mend]string{
	dns.Fencing: "-DFENCING", dns.Recheck: "-DRECHECK", dns.ActiveCheck: "-DACTIVE_CHECK", dns.NonemptyGuard: "-DNONEMPTY_GUARD", dns.OneLock: "-DONE_LOCK",
}

// Spin sees the same states in the same model in Promela, and comes to the same verdicts, for every
// mend and in both forms of the clean-up.
func TestSpin(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles and runs four dozen verifiers")
	}
	need.Tool(t, "spin", "Debian's spin")
	need.Tool(t, "cc", "Debian's gcc")
	model, err := filepath.Abs("../../../scripts/enactors.pml")
	if err != nil {
		t.Fatal(err)
	}
	mends := []dns.Mend{0}
	for _, m := range dns.Mends {
		mends = append(mends, m.Mend)
	}
	for _, form := range dns.Forms {
		for _, m := range mends {
			t.Run(fmt.Sprintf("%s %s", form, m), func(t *testing.T) {
				t.Parallel()
				r := explored(t, func(c *Config) { c.Mends, c.Form, c.Endpoints = m, form, 1 })
				args := []string{"-DPLANS=4", "-DENDPOINTS=1", "-DKEEP=1"}
				if d := defines[m]; d != "" {
					args = append(args, d)
				}
				if form == dns.ApplyEmptied {
					args = append(args, "-DAPPLY_EMPTIED")
				}
				_, states := spin(t, model, append(args, "-DPROP=0"))
				if states != r.States {
					t.Errorf("spin sees %d states, the explorer %d", states, r.States)
				}
				verdicts := ""
				for i, p := range Properties {
					violated, _ := spin(t, model, append(args, fmt.Sprintf("-DPROP=%d", i+1)))
					if violated != (r.Found[p] != nil) {
						t.Errorf("%s: possible by spin: %v, by the explorer: %v", p, violated, r.Found[p] != nil)
					}
					verdicts += fmt.Sprintf(", %s: %v", p, violated)
				}
				t.Logf("%-13s %-14s spin %6d states, explorer %6d%s", form, m, states, r.States, verdicts)
			})
		}
	}
}

var (
	errorsOf = regexp.MustCompile(`errors: (\d+)`)
	statesOf = regexp.MustCompile(`(\d+) states, stored`)
)

// spin runs the verifier of a model with these macros.
func spin(t *testing.T, model string, args []string) (violated bool, states int) {
	t.Helper()
	dir := t.TempDir()
	run := func(name string, args ...string) string {
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	// -o2 keeps variables that nobody reads in the state.
	run("spin", append(append([]string{"-o2", "-a"}, args...), model)...)
	run("cc", "-O0", "-w", "-DSAFETY", "-DNOREDUCE", "-o", "pan", "pan.c")
	out := run("./pan", "-E", "-m100000") // -E: an enactor may wait for ever
	number := func(of *regexp.Regexp) int {
		found := of.FindStringSubmatch(out)
		if found == nil {
			t.Fatalf("what pan prints has no %s:\n%s", of, out)
		}
		n, err := strconv.Atoi(found[1])
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	return number(errorsOf) > 0, number(statesOf)
}
