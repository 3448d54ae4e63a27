package bench_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"hash"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/law"
	"github.com/leasestorm/leasestorm/bench/oracle"
	"github.com/leasestorm/leasestorm/bench/record"
	"github.com/leasestorm/leasestorm/bench/scenario"
	"github.com/leasestorm/leasestorm/bench/study"
	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/admit"
	"github.com/leasestorm/leasestorm/queue/catalog"
)

var update = flag.Bool("update", false, "write testdata/golden.txt anew, from the results of this architecture")

// golden has a line per case: its name and a hash of all that it writes.
const golden = "testdata/golden.txt"

// run is one virtual run.
type run struct {
	scenario string
	set      string // key=value, by spaces
	service  string // the law of service times; "quantiles": some of our own
}

// laws are all distributions of service times.
var laws = []string{"fixed", "exponential", "lognormal:cv=1.5", "quantiles"}

// runs are all disciplines, controllers and policies that virtual time can have, with and without
// a cost of the backlog, and all scenarios and laws.
func runs() (all []run) {
	surge := func(service, format string, args ...any) {
		all = append(all, run{"surge", "leases=2000 broken=300 duration=8s " + fmt.Sprintf(format, args...), service})
	}
	queues := inVirtualTime(queue.Catalog)
	for _, w := range inVirtualTime(queue.Wrappers) {
		queues = append(queues, w+"+deadline")
	}
	for i, q := range queues {
		surge(laws[i%len(laws)], "queue=%s", q)
		surge("exponential", "queue=%s kappa=0.001 launch=0.05 check_jitter=0.1", q)
	}
	for _, c := range inVirtualTime(admit.Controllers) {
		surge("lognormal:cv=0.5", "admit=%s retry=backoff", c)
		surge("exponential", "admit=%s kappa=0.001 launch=0.05", c)
	}
	for _, r := range inVirtualTime(admit.Retries) {
		surge("exponential", "retry=%s admit=token-bucket kappa=0.001 wait=20ms", r)
	}
	for _, l := range laws {
		surge(l, "queue=lifo retry=decorrelated delta=0.3 spread=1s expiry_spread=2s")
		surge(l, "operator=both operator_at=2s slow=0.3 slow_for=1s pause=200ms restarts=2")
	}
	surge("exponential", "launch=0.3 launch_tries=4 launch_law=even slow=0.5 slow_for=2s slow_at=arrival")
	for _, s := range scenario.All() {
		set := "leases=2000"
		if s.Outage > 0 {
			set += " broken=200"
		}
		all = append(all, run{s.Name, set, "exponential"})
	}
	return all
}

func inVirtualTime[F any](parts *catalog.Catalog[F]) (names []string) {
	for _, e := range parts.List() {
		if !e.HostClock {
			names = append(names, e.Name)
		}
	}
	return names
}

// asked are the lines of a manifest with what was asked: a key that is added changes no result.
var asked = regexp.MustCompile(`(?m)^ *"(schema|command|scenario_toml)": .*\n`)

// write adds all that the run writes to the sum.
func (r run) write(t *testing.T, sum hash.Hash) {
	set := append(strings.Fields(r.set), "workers=2")
	v, o := bench.Virtual{}, bench.Options{Seed: 3, Folder: filepath.Join(t.TempDir(), "run")}
	if r.service != "quantiles" {
		set = append(set, "service_law="+r.service)
	} else {
		v.Services = []record.Quantile{{Q: 0, X: 0.4e-6}, {Q: 0.3, X: 0.7e-6}, {Q: 0.9, X: 1.9e-6}, {Q: 1, X: 7.1e-6}}
	}
	res, err := v.Run(t.Context(), load(t, r.scenario, set...), o)
	if err != nil {
		t.Fatal(err)
	}
	res.Elapsed, res.Folder = 0, ""
	add(t, sum, res)
	entries, err := os.ReadDir(o.Folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(o.Folder, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(sum, "%s\n%s", e.Name(), asked.ReplaceAll(text, nil))
	}
}

func load(t *testing.T, name string, set ...string) scenario.Scenario {
	t.Helper()
	s, err := scenario.Load(name)
	if err == nil {
		err = s.Set(set...)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// add adds a result as JSON, without what it took.
func add(t *testing.T, sum hash.Hash, x any) {
	t.Helper()
	text, err := json.Marshal(x)
	if err != nil {
		t.Fatal(err)
	}
	sum.Write(regexp.MustCompile(`"elapsed_s":[^,}]*,?`).ReplaceAll(text, nil))
}

// studies are cases of more than one run, and of theory.
var studies = map[string]func(t *testing.T, sum hash.Hash){
	"border": func(t *testing.T, sum hash.Hash) {
		for _, q := range []string{"fifo", "slack"} {
			b, err := study.FindBorder(t.Context(), bench.Virtual{}, load(t, "surge", "leases=2000", "broken=200", "duration=8s", "service_law=exponential", "queue="+q), bench.Options{Seed: 1}, 1)
			if err != nil {
				t.Fatal(err)
			}
			add(t, sum, b)
		}
	},
	"fluid law": func(t *testing.T, sum hash.Hash) {
		for _, set := range []string{"queue=fifo", "queue=lifo delta=0.5", "queue=deadline retry=backoff", "queue=slack retry=backoff wait=50ms", "queue=codel:exponent=0.7"} {
			for _, service := range []string{"fixed", "exponential"} {
				s := load(t, "surge", append(strings.Fields(set), "leases=2000", "broken=300", "workers=2", "service_law="+service)...)
				beta, ok := law.Beta(&s)
				add(t, sum, []any{beta, ok, law.Batch(&s)})
			}
		}
	},
	"oracle": func(t *testing.T, sum hash.Hash) {
		for _, m := range []oracle.Model{
			{Name: "mmc", Servers: 2, Rho: 0.5}, {Name: "md1", Servers: 1, Rho: 0.3}, {Name: "mg1", Servers: 1, Rho: 0.3, CV: 0.5},
			{Name: "mmck", Servers: 1, Rho: 0.9, K: 5}, {Name: "impatient", Servers: 1, Rho: 0.5, Timeout: 3}, {Name: "repairman", Servers: 2, K: 8, Think: 5},
			{Name: "random", Servers: 1, Rho: 0.5}, {Name: "lifo", Servers: 1, Rho: 0.5},
		} {
			rows, err := oracle.Measure(t.Context(), m, 40_000, 1)
			if err != nil {
				t.Fatal(err)
			}
			add(t, sum, rows)
		}
	},
}

// TestGolden holds the files of virtual runs to the bytes that they have on every architecture.
// The hashes are of amd64; CI runs the test without fused instructions of math.Exp (GODEBUG=cpu.fma=off)
// and as a binary for arm64. A change of a hash is a change of results: write it anew with
// go test ./bench -run TestGolden -update, and say so in CHANGELOG.md.
func TestGolden(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine: the long run has it")
	}
	cases := maps.Clone(studies)
	for _, r := range runs() {
		cases[fmt.Sprintf("%s %s, %s", r.scenario, r.set, r.service)] = r.write
	}
	var got bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(cases)) {
		sum := sha256.New()
		cases[name](t, sum)
		fmt.Fprintf(&got, "%x %s\n", sum.Sum(nil)[:8], name)
	}
	if *update {
		if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	have := strings.Split(string(want), "\n")
	for _, line := range strings.Split(got.String(), "\n") {
		if !slices.Contains(have, line) {
			t.Errorf("not in %s: %s", golden, line)
		}
	}
	if n := bytes.Count(got.Bytes(), []byte("\n")); n != len(have)-1 {
		t.Errorf("%d cases, and %s has %d: go test ./bench -run TestGolden -update", n, golden, len(have)-1)
	}
}
