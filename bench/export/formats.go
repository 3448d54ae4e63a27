package export

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/leasestorm/leasestorm/bench/archive"
	"github.com/leasestorm/leasestorm/bench/internal/measure"
	"github.com/leasestorm/leasestorm/bench/internal/stat"
)

// number is a number with six digits: the same on every host.
func number(x float64) string { return strconv.FormatFloat(x, 'g', 6, 64) }

// golang are the measures in Go's benchmark format, with unit and scale.
var golang = []struct {
	measure, unit, better string
	scale                 float64
}{
	{"ttr", "ttr-s", "lower", 1}, {"wasted_work", "wasted-%", "lower", 100}, {"efficiency", "efficiency", "higher", 1},
	{"goodput", "establish/s", "higher", 1}, {"slip_p999", "slip-p999-ms", "lower", 1e3},
}

// benchmarks writes Go's benchmark format, a line a valid run, so that benchstat compares two folders
// as they are (golang.org/design/14313-benchmark-format).
func benchmarks(w io.Writer, _ string, cells []archive.Cell) error {
	var b strings.Builder
	for _, u := range golang {
		fmt.Fprintf(&b, "Unit %s better=%s\n", u.unit, u.better)
	}
	for _, g := range groups(cells) {
		r := g.result()
		name := fmt.Sprintf("Benchmark%s/table=%s/queue=%s/admit=%s/retry=%s/broken=%d", title(r.Scenario), flat(r.Table), flat(r.Queue), flat(r.Admit), flat(r.Retry), r.Broken)
		if r.Then != "" {
			name += "/then=" + flat(r.Then)
		}
		for _, c := range g.valid {
			b.WriteString(name + " 1")
			for _, u := range golang {
				m, _ := archive.FindMeasure(u.measure)
				if x := m.Of(&c.Manifest.Result); x != nil {
					fmt.Fprintf(&b, " %s %s", number(u.scale**x), u.unit)
				}
			}
			b.WriteString("\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// flat is a part's reference as a piece of a benchmark's name, as folders have it.
func flat(ref string) string {
	return strings.NewReplacer(":", "-", "=", "", ",", "-", "+", "-", "/", "-", " ", "-").Replace(ref)
}

// title is a scenario's name as the name of a benchmark begins.
func title(name string) (out string) {
	for word := range strings.SplitSeq(name, "-") {
		if word != "" {
			out += strings.ToUpper(word[:1]) + word[1:]
		}
	}
	return out
}

// github writes the JSON that github-action-benchmark reads: an array, of one direction a file.
func github(w io.Writer, cells []archive.Cell, bigger bool) error {
	type entry struct {
		Name  string  `json:"name"`
		Value float64 `json:"value"`
		Unit  string  `json:"unit"`
		Range string  `json:"range,omitempty"`
		Extra string  `json:"extra"`
	}
	all := []entry{}
	for _, g := range groups(cells) {
		for _, m := range archive.Measures {
			xs := g.values(m)
			if m.Higher != bigger || m.Host || len(xs) == 0 {
				continue
			}
			u, scale := unit(m)
			e := entry{Name: g.name() + ": " + m.Name, Value: rounded(scale * middle(m, xs)), Unit: u, Extra: fmt.Sprintf("%s; valid runs: %d", m.About, len(xs))}
			if low, high := xs[0], xs[len(xs)-1]; low < high && m.Kind != measure.Share {
				e.Range = number(scale*low) + "–" + number(scale*high)
			}
			all = append(all, e)
		}
	}
	return indented(w, all)
}

// bencher writes Bencher's metric format.
func bencher(w io.Writer, _ string, cells []archive.Cell) error {
	type metric struct {
		Value float64 `json:"value"`
		Low   float64 `json:"lower_value"`
		High  float64 `json:"upper_value"`
	}
	all := map[string]map[string]metric{}
	for _, g := range groups(cells) {
		by := map[string]metric{}
		for _, m := range archive.Measures {
			if xs := g.values(m); len(xs) > 0 && !m.Host {
				slug := strings.ReplaceAll(m.Name, "_", "-")
				if u := m.Unit(); u != "" {
					slug += "-" + strings.NewReplacer("1/", "per-").Replace(u)
				}
				low, high := xs[0], xs[len(xs)-1]
				if m.Kind == measure.Share {
					p := stat.Wilson(int(math.Round(middle(m, xs)*float64(len(xs)))), len(xs))
					low, high = p.Low, p.High
				}
				by[slug] = metric{rounded(middle(m, xs)), rounded(low), rounded(high)}
			}
		}
		if len(by) > 0 {
			all[shorter(g.name(), 1024)] = by
		}
	}
	return indented(w, all)
}

// shorter cuts a text at so many characters.
func shorter(text string, most int) string {
	if r := []rune(text); len(r) > most {
		return string(r[:most])
	}
	return text
}

// rounded has six digits.
func rounded(x float64) float64 {
	y, err := strconv.ParseFloat(number(x), 64)
	if err != nil {
		return x
	}
	return y
}

func indented(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// column is a measure's name with its unit.
func column(m archive.Measure) string {
	if u := m.Unit(); u != "" {
		return m.Name + "_" + strings.NewReplacer("1/", "per_").Replace(u)
	}
	return m.Name
}

var named = []string{"scenario", "broken", "table", "queue", "admit", "retry", "then"}

func names(r *archive.Result) []string {
	return []string{r.Scenario, strconv.Itoa(r.Broken), r.Table, r.Queue, r.Admit, r.Retry, r.Then}
}

// table writes a row a contestant: medians with their extremes, over the valid runs.
func table(w io.Writer, _ string, cells []archive.Cell) error {
	c := csv.NewWriter(w)
	head := append(append([]string{}, named...), "runs", "valid_runs")
	for _, m := range archive.Measures {
		if head = append(head, column(m)); m.Kind != measure.Share {
			head = append(head, column(m)+"_min", column(m)+"_max")
		}
	}
	_ = c.Write(head) // Error has it
	for _, g := range groups(cells) {
		row := append(names(g.result()), strconv.Itoa(len(g.cells)), strconv.Itoa(len(g.valid)))
		for _, m := range archive.Measures {
			xs := g.values(m)
			three := []string{"", "", ""}
			if len(xs) > 0 {
				three = []string{number(middle(m, xs)), number(xs[0]), number(xs[len(xs)-1])}
			}
			if m.Kind == measure.Share {
				three = three[:1]
			}
			row = append(row, three...)
		}
		_ = c.Write(row)
	}
	c.Flush()
	return c.Error()
}

// cellsCSV writes a row a run, the invalid ones included.
func cellsCSV(w io.Writer, dir string, cells []archive.Cell) error {
	c := csv.NewWriter(w)
	head := append([]string{"folder", "started", "host", "engine"}, named...)
	head = append(head, "leases", "workers", "seed", "beta", "verdict", "valid", "invalid_because")
	for _, m := range archive.Measures {
		head = append(head, column(m))
	}
	_ = c.Write(head)
	for _, cell := range cells {
		m, r := &cell.Manifest, &cell.Manifest.Result
		folder, err := filepath.Rel(dir, cell.Folder)
		if err != nil {
			return err
		}
		row := append([]string{filepath.ToSlash(folder), m.Started.UTC().Format("2006-01-02T15:04:05Z"), m.Host.Name, r.Engine}, names(r)...)
		row = append(row, strconv.Itoa(r.Leases), strconv.Itoa(r.Workers), strconv.FormatUint(r.Seed, 10), number(r.Beta), r.Verdict, strconv.FormatBool(r.Valid), r.Why)
		for _, of := range archive.Measures {
			text := ""
			if x := of.Of(r); x != nil {
				text = number(*x)
			}
			row = append(row, text)
		}
		_ = c.Write(row)
	}
	c.Flush()
	return c.Error()
}
