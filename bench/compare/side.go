// Package compare says what differs between two result folders, and whether it is real. It knows
// only files.
package compare

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/leasestorm/leasestorm/bench/archive"
	"github.com/leasestorm/leasestorm/bench/host"
	"github.com/leasestorm/leasestorm/bench/internal/show"
)

// side is one of the two folders: its runs by contestant.
type side struct {
	dir     string
	cells   []archive.Cell
	groups  map[string][]archive.Cell // valid runs, by key
	invalid int
	problem []string // what is damaged or missing
}

// key says which runs are of one contestant in one experiment.
func key(r *archive.Result) string {
	return strings.Join([]string{r.Scenario, fmt.Sprint(r.Broken), r.Table, r.Queue, r.Admit, r.Retry, r.Then}, "\x00")
}

func read(ctx context.Context, dir string) (*side, error) {
	cells, damaged, err := archive.Salvage(ctx, dir)
	if err != nil {
		return nil, err
	}
	if len(cells) == 0 {
		return nil, damaged[0]
	}
	s := sideOf(dir, cells)
	for _, d := range damaged {
		s.problem = append(s.problem, d.Error())
	}
	missing, err := archive.Missing(dir)
	if err != nil {
		s.problem = append(s.problem, err.Error())
	}
	if n := len(missing); n > 0 {
		s.problem = append(s.problem, fmt.Sprintf("%s: of the suite's runs %d %s missing, the first is %s: --resume %s makes them", dir, n, map[bool]string{true: "is", false: "are"}[n == 1], missing[0], dir))
	}
	return s, nil
}

// sideOf is the side of some cells.
func sideOf(dir string, cells []archive.Cell) *side {
	s := &side{dir: dir, cells: archive.Settle(cells), groups: map[string][]archive.Cell{}}
	for _, c := range s.cells {
		r := &c.Manifest.Result
		if !r.Valid {
			s.invalid++
			continue
		}
		s.groups[key(r)] = append(s.groups[key(r)], c)
	}
	return s
}

// machine says what of a host its numbers depend on.
func machine(h *host.Info) string {
	text := fmt.Sprintf("%s, %d core%s, %d of %d processors, %s/%s", cmp.Or(h.CPU, "unknown processor"), h.Cores, show.Plural(h.Cores), len(h.CPUs), h.Online, h.OS, h.Arch)
	if h.Virtual {
		text += ", virtual"
	}
	if h.Quota > 0 {
		text += fmt.Sprintf(", a quota of %g processors", h.Quota)
	}
	return text
}

// hosts are the machines of a side.
func (s *side) hosts() []string {
	all := map[string]bool{}
	for _, c := range s.cells {
		if c.Manifest.Result.OnHost() {
			all[machine(&c.Manifest.Host)] = true
		} else {
			all["no host: "+c.Manifest.Result.Engine+" time"] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// settings are the lines of a scenario, without what a key has already and what changes no run.
func settings(text string) map[string]string {
	all := map[string]string{}
	for line := range strings.Lines(text) {
		k, v, ok := strings.Cut(strings.TrimSpace(line), " = ")
		if ok && !slices.Contains([]string{"about", "require", "queue", "admit", "retry", "table", "then_queue", "then_admit", "then_retry"}, k) {
			all[k] = v
		}
	}
	return all
}

// unlike says what differs in hosts and scenarios, a line each.
func unlike(a, b *side, pairs []pair) (lines []string) {
	if ha, hb := a.hosts(), b.hosts(); !slices.Equal(ha, hb) {
		lines = append(lines, fmt.Sprintf("hosts: %s (%s); %s (%s)", strings.Join(ha, " and "), a.dir, strings.Join(hb, " and "), b.dir))
	}
	seen := map[string]bool{}
	for _, p := range pairs {
		ra, rb := &p.a[0].Manifest.Result, &p.b[0].Manifest.Result
		var words []string
		if key(ra) != key(rb) {
			words = append(words, fmt.Sprintf("contestants: %s; %s", ra.Name(), rb.Name()))
		}
		sa, sb := settings(p.a[0].Manifest.Scenario), settings(p.b[0].Manifest.Scenario)
		keys := maps.Clone(sa)
		maps.Copy(keys, sb)
		for _, k := range slices.Sorted(maps.Keys(keys)) {
			if sa[k] != sb[k] {
				words = append(words, fmt.Sprintf("%s = %s; %s", k, cmp.Or(sa[k], "none"), cmp.Or(sb[k], "none")))
			}
		}
		if ra.Workers != rb.Workers && sa["workers"] == sb["workers"] {
			words = append(words, fmt.Sprintf("workers = %d; %d", ra.Workers, rb.Workers))
		}
		if ua, ub := p.a[0].Manifest.Target.Client.URL, p.b[0].Manifest.Target.Client.URL; ua != ub {
			words = append(words, fmt.Sprintf("service = %s; %s", cmp.Or(ua, "none"), cmp.Or(ub, "none")))
		}
		line := "scenario " + p.experiment + ": " + strings.Join(words, ", ")
		if len(words) > 0 && !seen[line] {
			seen[line] = true
			lines = append(lines, line)
		}
	}
	return lines
}

// folder is a folder's name as people know it.
func folder(dir string) string { return filepath.Clean(dir) }
