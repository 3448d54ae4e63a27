package bench_test

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/leasestorm/leasestorm"

// layers are the packages of the module from the bottom to the top, a line each: a package
// imports only from lines above its own. docs/architecture.md draws them.
var layers = []string{
	"queue/catalog queue/chunk queue/internal/prefetch internal/huge bench/internal/show bench/internal/files bench/internal/bisect bench/internal/parallel internal/testseed internal/need internal/det bench/metrics bench/internal/measure bench/internal/archivetest bench/internal/hostiletest docs",
	"queue/pad bench/hist bench/internal/axis bench/internal/stat bench/internal/require bench/incident/operator bench/incident/network bench/incident/balancer bench/incident/services bench/incident/watch bench/incident/dns",
	"queue lease",
	"queue/admit",
	"queue/queuetest queue/admit/admittest lease/leasetest queue/shield",
	"lease/dwfm bench/host bench/scenario bench/incident/explore",
	"bench/client bench/fault bench/fleet bench/record bench/law bench/incident/dependency bench/archive",
	"bench/engine",
	"bench/oracle bench/speed bench/plot bench/compare bench/gate bench/export",
	"bench bench/internal/files/filestest bench/report",
	"bench/study bench/live bench/play/desk bench/play",
	"bench/published bench/incident",
	"cmd/leasestorm/cli",
	"cmd/leasestorm cmd/leasestorm-play",
}

// What some packages know is narrower than what lies below them.
var knows = map[string]string{
	"queue/admit":               "queue queue/catalog queue/pad internal/det",
	"lease":                     "queue/catalog queue/pad internal/huge",
	"lease/dwfm":                "lease queue queue/admit queue/pad internal/huge",
	"bench/scenario":            "queue queue/admit queue/catalog lease bench/internal/axis bench/internal/require bench/internal/show",
	"bench/law":                 "queue queue/admit bench/scenario bench/internal/bisect internal/det",
	"bench/incident/dependency": "lease/dwfm",
	"bench/archive":             "bench/host bench/internal/files bench/internal/measure bench/internal/show bench/internal/stat",
	"bench/export":              "bench/archive bench/internal/files bench/internal/measure bench/internal/stat",
	"bench/gate":                "bench/archive bench/internal/require bench/internal/show",
	"bench/compare":             "bench/archive bench/host bench/internal/measure bench/internal/show bench/internal/stat",
	"bench/report":              "bench/compare bench/archive bench/hist bench/host bench/internal/axis bench/internal/files bench/internal/show bench/internal/stat",
	"bench/play":                "bench/record bench/report",
	"bench/live":                "bench bench/internal/show bench/metrics bench/record bench/report queue",
	"bench/plot":                "bench/archive bench/internal/axis bench/internal/files bench/internal/show bench/record",
}

// Imports point down, and a new package has a place in the layers.
func TestLayers(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports", module+"/...").Output()
	if err != nil {
		t.Skipf("go list cannot be run: %v", err)
	}
	place := map[string]int{}
	for i, line := range layers {
		for _, name := range strings.Fields(line) {
			place[name] = i
		}
	}
	short := func(path string) string { return strings.TrimPrefix(path, module+"/") }
	seen := map[string]bool{}
	for d := json.NewDecoder(strings.NewReader(string(out))); d.More(); {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		name := short(p.ImportPath)
		at, ok := place[name]
		if !ok {
			t.Errorf("package %s has no place in the layers: enter it in this test and in docs/architecture.md", name)
			continue
		}
		seen[name] = true
		for _, path := range p.Imports {
			if !strings.HasPrefix(path, module+"/") {
				continue
			}
			dep := short(path)
			if place[dep] >= at {
				t.Errorf("%s imports %s, which is not below it", name, dep)
			}
			if only, narrow := knows[name]; narrow && !slices.Contains(strings.Fields(only), dep) {
				t.Errorf("%s imports %s, and is to know only %s", name, dep, only)
			}
		}
	}
	for name := range place {
		if !seen[name] {
			t.Errorf("there is no package %s: take it out of the layers", name)
		}
	}
}
