// Package archive reads the result folders of runs and studies: their files, and nothing else.
// Figures, the page, comparisons and gates are made of what it returns.
package archive

import (
	"bytes"
	"cmp"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/leasestorm/leasestorm/bench/host"
	"github.com/leasestorm/leasestorm/bench/internal/files"
)

// Cell is one run, as read from its files.
type Cell struct {
	Folder   string
	Manifest Manifest
	Series   Series
}

// Manifest is the part of a run's manifest.json that its readers use. A pointer is nil where the
// run has no such value; package bench says what the fields of a result mean.
type Manifest struct {
	Schema   int       `json:"schema"`
	Started  time.Time `json:"started"`
	Command  string    `json:"command"` // repeats the run, in a shell in its folder
	Scenario string    `json:"scenario_toml"`
	Result   Result    `json:"result"`
	Phases   []struct {
		Name  string        `json:"name"`
		Start time.Duration `json:"start_ns"`
	} `json:"phases"`
	Host  host.Info  `json:"host"`
	Usage host.Usage `json:"usage"`
	Build Build      `json:"build"`
	// Target is the service that a run on the engine "target" asked.
	Target struct {
		Client struct {
			URL string `json:"url"`
		} `json:"client"`
	} `json:"target"`
}

// Build is the program that wrote a file.
type Build struct {
	Go      string `json:"go"`
	Version string `json:"version"`
	Commit  string `json:"commit"`
	Dirty   bool   `json:"dirty"`
}

// Result is what came of a run.
type Result struct {
	Scenario    string             `json:"scenario"`
	Table       string             `json:"table"`
	Queue       string             `json:"queue"`
	Admit       string             `json:"admit"`
	Retry       string             `json:"retry"`
	Then        string             `json:"then"`
	Engine      string             `json:"engine"`
	Leases      int                `json:"leases"`
	Broken      int                `json:"broken"`
	Workers     int                `json:"workers"`
	Seed        uint64             `json:"seed"`
	Verdict     string             `json:"verdict"`
	Beta        float64            `json:"beta"`
	TTR         *float64           `json:"ttr_s"`
	CollapsedAt *float64           `json:"collapsed_at_s"`
	Rescue      *float64           `json:"ttr_after_operator_s"`
	Efficiency  *float64           `json:"efficiency"`
	Capacity    float64            `json:"capacity_per_s"`
	Goodput     map[string]float64 `json:"goodput_per_s"`
	WastedWork  *float64           `json:"wasted_work"`
	LaunchesOK  *float64           `json:"launches_ok"`
	Shed        uint64             `json:"shed"`
	ActiveMin   int                `json:"active_min"`
	ActiveEnd   int                `json:"active_end"`
	HealthyLost int                `json:"healthy_lost"`
	Fairness    *float64           `json:"fairness"`
	TimeToLease struct {
		P50 *float64 `json:"p50"`
		P99 *float64 `json:"p99"`
	} `json:"time_to_lease_s"`
	Slip   tail     `json:"slip_ms"`
	Drift  float64  `json:"drift"`
	Valid  bool     `json:"valid"`
	Noisy  []string `json:"noisy"`
	Tries  int      `json:"tries"`
	Spoilt []string `json:"spoilt_tries"`
	Why    string   `json:"invalid_because"`
	Run    float64  `json:"run_s"`
	// Service is the mean service on one worker in µs, by class.
	Service map[string]float64 `json:"service_us"`
	Points  []Point            `json:"points"`
	// Target is what a run against a service adds.
	Target *Target `json:"target"`
}

// Target says how the calls of a run against a service ended.
type Target struct {
	Kinds    map[string]uint64 `json:"kinds"`    // calls by kind of end
	Statuses map[string]uint64 `json:"statuses"` // answers by status
	Agents   []struct {        // the generators of a run that has several
		Name     string `json:"name"`
		Host     string `json:"host"`
		Droplets struct {
			From uint32 `json:"from"`
			To   uint32 `json:"to"`
		} `json:"droplets"`
		Requests uint64   `json:"requests"`
		Offset   *float64 `json:"clock_offset_ms"`
		Error    *float64 `json:"clock_error_ms"`
		Slip     tail     `json:"slip_ms"`
		Lag      tail     `json:"lag_ms"`
		Lost     string   `json:"lost"` // why its part is missing or cut short
	} `json:"agents"`
}

// tail is a high quantile.
type tail struct {
	P999 *float64 `json:"p999"`
}

// Point is a load of a ramp.
type Point struct {
	Load       float64 `json:"load"`
	Back       bool    `json:"back"`
	Goodput    float64 `json:"goodput"`
	Throughput float64 `json:"throughput"`
}

// Phase returns the start of a phase in s of run time. ok is false if the run has no phase of that
// name.
func (m *Manifest) Phase(name string) (start float64, ok bool) {
	for _, p := range m.Phases {
		if p.Name == name {
			return p.Start.Seconds(), true
		}
	}
	return 0, false
}

// Series is a run's series.csv: columns of numbers by name, one value per step.
type Series map[string][]float64

// schema is the version of manifests that this package reads.
const schema = 1

// ofSchema reads the head of a JSON file: it must have the schema of this package.
func ofSchema(text []byte, what string) error {
	var head struct {
		Schema int   `json:"schema"`
		Build  Build `json:"build"`
	}
	if err := json.Unmarshal(text, &head); err != nil {
		return fmt.Errorf("not %s: %w", what, err)
	}
	if head.Schema == schema {
		return nil
	}
	by := "the version that wrote it"
	if head.Build.Version != "" {
		by += fmt.Sprintf(" (%s, commit %s)", head.Build.Version, head.Build.Commit)
	}
	return fmt.Errorf("schema %d, and this program reads %d: use %s", head.Schema, schema, by)
}

// ReadResult reads the JSON file at path into v. there is false if there is no such file. what
// names the file's content in errors.
func ReadResult(path, what string, v any) (there bool, err error) {
	text, err := files.Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := ofSchema(text, what); err != nil {
		return true, fmt.Errorf("%s: %w", path, err)
	}
	if err := json.Unmarshal(text, v); err != nil {
		return true, fmt.Errorf("%s: not %s: %w", path, what, err)
	}
	return true, nil
}

// ErrNoRuns is returned, wrapped, for a folder without finished runs.
var ErrNoRuns = errors.New("no finished run in this folder (a run has a manifest.json)")

// Load reads all finished runs in a folder and the folders below it, in the order of their names.
// A run that cannot be read is an error.
func Load(ctx context.Context, dir string) ([]Cell, error) {
	cells, damaged, err := Salvage(ctx, dir)
	if err == nil && len(damaged) > 0 {
		return nil, damaged[0]
	}
	for _, c := range cells {
		if c.Series == nil {
			_, err := load(c.Folder)
			return nil, err
		}
	}
	return cells, err
}

// Salvage is Load for a folder that may be damaged, or of which only the manifests are kept. It returns
// the runs whose manifest can be read, with a nil Series where that is missing or damaged, and what is
// damaged.
func Salvage(ctx context.Context, dir string) (cells []Cell, damaged []error, err error) {
	root := dir + string(filepath.Separator) // so that a link is followed
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil && path != root {
			damaged = append(damaged, err)
			return fs.SkipDir
		}
		if err = cmp.Or(err, ctx.Err()); err != nil {
			return err
		}
		if d.IsDir() && path != root && filepath.Base(path)[0] == '.' {
			return fs.SkipDir // unfinished
		}
		if d.Name() != "manifest.json" {
			return nil
		}
		c, err := load(filepath.Dir(path))
		if err == nil || c.Manifest.Schema == schema {
			cells = append(cells, c)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			damaged = append(damaged, err)
		}
		return nil
	})
	if err == nil && len(cells)+len(damaged) == 0 {
		err = fmt.Errorf("%s: %w", dir, ErrNoRuns)
	}
	slices.SortFunc(cells, func(a, b Cell) int { return cmp.Compare(a.Folder, b.Folder) })
	return cells, damaged, err
}

func load(dir string) (Cell, error) {
	c := Cell{Folder: dir}
	path := filepath.Join(dir, "manifest.json")
	text, err := files.Read(path)
	if err != nil {
		return c, err
	}
	if err := c.Manifest.Parse(text); err != nil {
		c.Manifest = Manifest{}
		return c, fmt.Errorf("%s: %w", path, err)
	}
	path = filepath.Join(dir, "series.csv")
	if text, err = files.Read(path); err != nil {
		return c, err
	}
	s, err := ParseSeries(text)
	if err != nil {
		return c, fmt.Errorf("%s: %w", path, err)
	}
	// A file that is cut off between two lines still parses. The last step ends with the run or after it.
	if ts := s["t_s"]; ts[len(ts)-1] < c.Manifest.Result.Run-1e-3 {
		return c, fmt.Errorf("%s: cut off: it ends at %.4g s, and the run at %.4g s", path, ts[len(ts)-1], c.Manifest.Result.Run)
	}
	c.Series = s
	return c, nil
}

// Parse reads a manifest.json, and refuses what is none of a run or of another schema.
func (m *Manifest) Parse(text []byte) error {
	if err := ofSchema(text, "a manifest"); err != nil {
		return err
	}
	if err := json.Unmarshal(text, m); err != nil {
		return fmt.Errorf("not a manifest: %w", err)
	}
	switch r := m.Result; {
	case r.Leases < 1 || r.Broken < 0 || r.Workers < 1 || r.Scenario == "" || filepath.Base(r.Scenario) != r.Scenario:
		return fmt.Errorf("not a run's manifest: scenario %q, %d leases, %d broken, %d workers", r.Scenario, r.Leases, r.Broken, r.Workers)
	case len(m.Phases) == 0 && len(r.Points) == 0:
		return errors.New("not a run's manifest: it has no phases")
	}
	return m.printable()
}

// printable refuses control characters in what readers print to a terminal, which would obey them. Only
// texts of several lines may have white space of that kind.
func (m *Manifest) printable() error {
	r := &m.Result
	names := []string{r.Scenario, r.Table, r.Queue, r.Admit, r.Retry, r.Then, r.Engine, r.Verdict, r.Why, m.Host.CPU, m.Host.OS, m.Host.Arch, m.Target.Client.URL}
	for _, p := range m.Phases {
		names = append(names, p.Name)
	}
	for _, n := range names {
		if strings.ContainsFunc(n, unicode.IsControl) {
			return fmt.Errorf("not a run's manifest: a control character in %q", n)
		}
	}
	for line := range strings.Lines(m.Scenario) {
		if strings.ContainsFunc(strings.TrimRight(line, "\r\n"), func(c rune) bool { return c != '\t' && unicode.IsControl(c) }) {
			return fmt.Errorf("not a run's manifest: a control character in scenario_toml: %q", line)
		}
	}
	return nil
}

// needed are the columns that every figure needs.
var needed = []string{"t_s", "active", "queued", "good_establish"}

// spreadsheet recognises a series.csv that a spreadsheet program has saved.
func spreadsheet(text []byte) string {
	head, _, _ := bytes.Cut(text, []byte("\n"))
	switch {
	case bytes.HasPrefix(text, []byte("\xef\xbb\xbf")):
		return "begins with a byte-order mark"
	case bytes.HasPrefix(text, []byte("\xff\xfe")), bytes.HasPrefix(text, []byte("\xfe\xff")):
		return "is UTF-16"
	case bytes.ContainsRune(head, ';'):
		return "has semicolons between its columns"
	case bytes.ContainsRune(head, '\t'):
		return "has tabs between its columns"
	}
	return ""
}

// ParseSeries reads a run's series.csv.
func ParseSeries(text []byte) (Series, error) {
	s, err := ParseTable(text, func(name string) bool { // a quantile of nothing; no figure has these
		return strings.HasPrefix(name, "sojourn_") || strings.HasPrefix(name, "slip_")
	})
	if err != nil {
		return nil, err
	}
	for _, name := range needed {
		if s[name] == nil {
			return nil, fmt.Errorf("no column %s", name)
		}
	}
	if (s["good_launch"] == nil) != (s["offered_launch"] == nil) {
		return nil, errors.New("only one of the columns good_launch and offered_launch")
	}
	return s, nil
}

// ParseTable reads columns of numbers. Where blank allows it a value may be missing; it is NaN.
func ParseTable(text []byte, blank func(column string) bool) (Series, error) {
	if how := spreadsheet(text); how != "" {
		return nil, fmt.Errorf("the file %s, as when a spreadsheet has saved it: put the original back, or save it as CSV in UTF-8 without a byte-order mark, with commas between columns and points in numbers", how)
	}
	rows, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	if err != nil {
		return nil, err
	}
	if len(rows) < 2 {
		return nil, errors.New("no rows")
	}
	s := Series{}
	for line, row := range rows[1:] {
		for i, text := range row {
			name := rows[0][i]
			if name == "phase" {
				continue
			}
			if text == "" && blank(name) {
				s[name] = append(s[name], math.NaN())
				continue
			}
			x, err := strconv.ParseFloat(text, 64)
			if err != nil || math.IsNaN(x) || math.Abs(x) > 1e15 {
				return nil, fmt.Errorf("line %d, column %s: %q is not a number", line+2, name, text)
			}
			s[name] = append(s[name], x)
		}
	}
	for name, column := range s {
		if len(column) != len(rows)-1 {
			return nil, fmt.Errorf("column %q stands twice", name)
		}
	}
	return s, nil
}
