package live

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/leasestorm/leasestorm/internal/need"
)

// What follows is the part of Grafana's schema of dashboards (kinds/dashboard/dashboard_kind.cue) that
// scripts/grafana.json may use: nothing else is read.
type dashboard struct {
	UID           string   `json:"uid"`
	Title         string   `json:"title"`
	Description   string   `json:"description"`
	Tags          []string `json:"tags"`
	Timezone      string   `json:"timezone"`
	Editable      bool     `json:"editable"`
	GraphTooltip  int      `json:"graphTooltip"`
	Refresh       string   `json:"refresh"`
	SchemaVersion int      `json:"schemaVersion"`
	Version       int      `json:"version"`
	Time          struct {
		From string `json:"from"`
		To   string `json:"to"`
	} `json:"time"`
	Templating struct {
		List []variable `json:"list"`
	} `json:"templating"`
	Annotations struct {
		List []any `json:"list"`
	} `json:"annotations"`
	Links  []any   `json:"links"`
	Panels []panel `json:"panels"`
}

type source struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

type variable struct {
	Type        string  `json:"type"`
	Name        string  `json:"name"`
	Label       string  `json:"label"`
	Datasource  *source `json:"datasource"`
	Query       any     `json:"query"`
	Definition  string  `json:"definition"`
	Refresh     int     `json:"refresh"`
	Sort        int     `json:"sort"`
	Multi       bool    `json:"multi"`
	IncludeAll  bool    `json:"includeAll"`
	Hide        int     `json:"hide"`
	SkipURLSync bool    `json:"skipUrlSync"`
}

type panel struct {
	ID          int     `json:"id"`
	Type        string  `json:"type"`
	Title       string  `json:"title"`
	Description string  `json:"description"`
	Datasource  *source `json:"datasource"`
	GridPos     *struct {
		H, W, X, Y int
	} `json:"gridPos"`
	Transparent     bool  `json:"transparent"`
	Transformations []any `json:"transformations"`
	Targets         []struct {
		RefID        string  `json:"refId"`
		Datasource   *source `json:"datasource"`
		Expr         string  `json:"expr"`
		LegendFormat string  `json:"legendFormat"`
		Format       string  `json:"format"`
		Range        bool    `json:"range"`
	} `json:"targets"`
	Options     map[string]any `json:"options"`
	FieldConfig *struct {
		Defaults struct {
			Unit   string         `json:"unit"`
			Min    *float64       `json:"min"`
			Max    *float64       `json:"max"`
			Color  map[string]any `json:"color"`
			Custom map[string]any `json:"custom"`
		} `json:"defaults"`
		Overrides []any `json:"overrides"`
	} `json:"fieldConfig"`
}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	file, err := os.Open("../../scripts/grafana.json")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	var d dashboard
	in := json.NewDecoder(file)
	in.DisallowUnknownFields()
	if err := in.Decode(&d); err != nil {
		t.Fatal(err)
	}
	return d
}

// The dashboard has what the schema requires: identities, a grid without overlaps, and a data source
// that the reader chooses.
func TestDashboard(t *testing.T) {
	d := readDashboard(t)
	if !regexp.MustCompile(`^[a-zA-Z0-9_-]{8,40}$`).MatchString(d.UID) || d.Title == "" || d.SchemaVersion < 36 || d.GraphTooltip < 0 || d.GraphTooltip > 2 || d.Time.From == "" || d.Time.To == "" {
		t.Errorf("uid %q, title %q, schema version %d, tooltip %d, time %v", d.UID, d.Title, d.SchemaVersion, d.GraphTooltip, d.Time)
	}
	names := map[string]bool{"__rate_interval": true}
	for _, v := range d.Templating.List {
		names[v.Name] = true
		if !slices.Contains([]string{"query", "datasource"}, v.Type) || v.Query == nil || v.Hide != 0 {
			t.Errorf("variable %+v", v)
		}
	}
	ids, cells := map[int]bool{}, map[[2]int]string{}
	used := regexp.MustCompile(`\$\{?(\w+)`)
	for _, p := range d.Panels {
		if ids[p.ID] || p.ID < 1 || p.Title == "" || p.Description == "" || p.Options == nil || p.FieldConfig == nil || p.FieldConfig.Overrides == nil || p.Transformations == nil || p.GridPos == nil || len(p.Targets) == 0 {
			t.Errorf("panel %d %q lacks something, or there are two of the id", p.ID, p.Title)
			continue
		}
		ids[p.ID] = true
		if !slices.Contains([]string{"timeseries", "stat", "heatmap"}, p.Type) || p.FieldConfig.Defaults.Unit == "" {
			t.Errorf("panel %q is of type %q with unit %q", p.Title, p.Type, p.FieldConfig.Defaults.Unit)
		}
		g := p.GridPos
		if g.H < 1 || g.W < 1 || g.X < 0 || g.Y < 0 || g.X+g.W > 24 {
			t.Errorf("panel %q does not lie in the grid: %+v", p.Title, *g)
		}
		for x := g.X; x < g.X+g.W; x++ {
			for y := g.Y; y < g.Y+g.H; y++ {
				if other := cells[[2]int{x, y}]; other != "" {
					t.Fatalf("panels %q and %q overlap", p.Title, other)
				}
				cells[[2]int{x, y}] = p.Title
			}
		}
		refs := map[string]bool{}
		for _, q := range p.Targets {
			if q.RefID == "" || refs[q.RefID] || q.Datasource == nil || q.Datasource.UID != "${datasource}" || q.Datasource.Type != "prometheus" {
				t.Errorf("panel %q: target %+v", p.Title, q)
			}
			refs[q.RefID] = true
			for _, v := range used.FindAllStringSubmatch(q.Expr, -1) {
				if !names[v[1]] {
					t.Errorf("panel %q: there is no variable %s", p.Title, v[0])
				}
			}
		}
	}
}

// exported are the names and labels of what a scrape has, as a query sees them.
func exported(t *testing.T) map[string]map[string]bool {
	t.Helper()
	hub, s := serving(t)
	ran(t, hub, "", 1)
	all := map[string]map[string]bool{}
	for name, f := range scrape(t, s) {
		labels := map[string]bool{}
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels[l.GetName()] = true
		}
		if f.GetMetric()[0].Histogram == nil {
			all[name] = labels
			continue
		}
		all[name+"_count"], all[name+"_sum"] = labels, labels
		all[name+"_bucket"] = maps.Clone(labels)
		all[name+"_bucket"]["le"] = true
	}
	return all
}

// Every query is about metrics and labels that a run exports; every metric but the run time has a panel.
func TestDashboardQueries(t *testing.T) {
	have, shown := exported(t), map[string]bool{}
	name, label := regexp.MustCompile(`leasestorm_\w+`), regexp.MustCompile(`by \(([^)]*)\)|(\w+)=~?"`)
	for _, p := range readDashboard(t).Panels {
		for _, q := range p.Targets {
			for _, n := range name.FindAllString(q.Expr, -1) {
				shown[strings.TrimSuffix(n, "_bucket")] = true
				if have[n] == nil {
					t.Errorf("panel %q: no run exports %s", p.Title, n)
				}
				for _, found := range label.FindAllStringSubmatch(q.Expr, -1) {
					for _, l := range regexp.MustCompile(`\w+`).FindAllString(found[1]+" "+found[2], -1) {
						if have[n] != nil && !have[n][l] {
							t.Errorf("panel %q: %s has no label %s", p.Title, n, l)
						}
					}
				}
			}
		}
	}
	for n := range have {
		if base := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(n, "_bucket"), "_count"), "_sum"); !shown[base] && n != "leasestorm_run_time_seconds" {
			t.Errorf("%s is in no panel", base)
		}
	}
}

// promtool takes every query for PromQL.
func TestDashboardPromQL(t *testing.T) {
	promtool := need.Tool(t, "promtool", "Debian's prometheus")
	var rules strings.Builder
	rules.WriteString("groups:\n  - name: dashboard\n    rules:\n")
	n := 0
	for _, p := range readDashboard(t).Panels {
		for _, q := range p.Targets {
			n++
			expr := strings.NewReplacer("$__rate_interval", "1m", "$run", ".*").Replace(q.Expr)
			fmt.Fprintf(&rules, "      - record: dashboard:query:%d\n        expr: %q\n", n, expr)
		}
	}
	path := filepath.Join(t.TempDir(), "rules.yml")
	if err := os.WriteFile(path, []byte(rules.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), promtool, "check", "rules", path).CombinedOutput(); err != nil || !strings.Contains(string(out), fmt.Sprintf("SUCCESS: %d rules found", n)) {
		t.Errorf("promtool check rules: %v\n%s", err, out)
	}
}
