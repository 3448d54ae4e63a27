package report

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/leasestorm/leasestorm/bench/archive"
	"github.com/leasestorm/leasestorm/bench/internal/files"
)

// kind is a kind of study: the file of its result, and how its section is filled.
type kind struct {
	file, name, title string
	figures           string // a pattern of the names of its figures
	text              string // the file of its text, shown as it is
	fill              func(p *Page, s *Section, path string) error
}

var kinds = []kind{
	{"incident.json", "the day", "The day, replayed", "incident.svg", "", (*Page).incident},
	{"counterfactuals.json", "counterfactuals", "What would have stopped the day", "", "", (*Page).counterfactuals},
	{"compare.json", "ranking", "Contestants, ranked", "compare.svg", "", (*Page).ranking},
	{"map-result.json", "map", "Collapse probability over two axes", "map.svg", "", (*Page).theMap},
	{"sweep.json", "sweep", "Along one axis", "sweep-*.svg", "", (*Page).sweep},
	{"experiment.json", "experiment", "An experiment", "experiment-*.svg", "", (*Page).experiment},
	{"threshold.json", "threshold", "The largest surge that is survived", "", "threshold.txt", (*Page).head},
	{"border.json", "border", "The border, beside its law", "", "border.txt", (*Page).head},
	{"find-collapse.json", "find-collapse", "The smallest disturbance that tips it over", "", "find-collapse.txt", (*Page).head},
	{"drill.json", "drill", "The way back by hand", "", "drill.txt", (*Page).head},
	{"speed.json", "speed", "Throughput of the parts, by goroutines", "speed*.svg", "", (*Page).speed},
}

// studies returns the sections of the studies in a folder. A file that cannot be read is named among
// the damaged.
func (p *Page) studies(dir string) ([]Section, error) {
	var all []Section
	for _, k := range kinds {
		path := filepath.Join(dir, k.file)
		if _, err := files.Read(path); errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, err
		}
		s := Section{Name: k.name, Title: k.title}
		if err := k.fill(p, &s, path); err != nil {
			p.Damaged = append(p.Damaged, err.Error())
			continue
		}
		if err := s.draw(dir, k); err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// draw adds the study's figures and its text, as far as they are in the folder.
func (s *Section) draw(dir string, k kind) error {
	if k.figures != "" {
		names, err := filepath.Glob(filepath.Join(globQuote(dir), k.figures))
		if err != nil {
			return err
		}
		for _, name := range names {
			svg, err := files.Read(name)
			if err != nil {
				return err
			}
			s.Figures = append(s.Figures, Figure{Title: s.Title, File: filepath.Base(name), SVG: svg})
		}
		if len(names) == 0 {
			s.Hint = "The figure is not in the folder: 'leasestorm plot' draws it."
		}
	}
	if k.text == "" {
		return nil
	}
	text, err := files.Read(filepath.Join(dir, k.text))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	s.Pre = strings.TrimSpace(string(text))
	return err
}

// globQuote quotes a folder's name, so that what is in it is no pattern.
func globQuote(dir string) string {
	return strings.NewReplacer("*", `\*`, "?", `\?`, "[", `\[`, `\`, `\\`).Replace(dir)
}

// head reads a study of which the text says it all.
func (p *Page) head(_ *Section, path string) error {
	var f struct {
		Scenario string `json:"scenario_toml"`
	}
	if _, err := archive.ReadResult(path, "a study's result", &f); err != nil {
		return err
	}
	if f.Scenario != "" {
		p.Scenarios = append(p.Scenarios, Fact{"of the study", f.Scenario})
	}
	return nil
}

// ranking is the table of contestants, as compare.csv has it.
func (p *Page) ranking(s *Section, path string) error {
	if err := p.head(s, path); err != nil {
		return err
	}
	path = filepath.Join(filepath.Dir(path), "compare.csv")
	text, err := files.Read(path)
	if err != nil {
		return err
	}
	rows, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	if err != nil || len(rows) < 2 {
		return fmt.Errorf("%s: not a table of contestants: %w", path, errors.Join(err, errShort(rows)))
	}
	t := Table{Title: "contestants, best first", Columns: []Column{{"rank", false}}}
	for i, name := range rows[0] {
		t.Columns = append(t.Columns, Column{strings.ReplaceAll(name, "_", " "), !numeric(rows[1:], i)})
	}
	for n, row := range rows[1:] {
		place := float64(n + 1)
		out := []Entry{number(&place, strconv.Itoa(n+1))}
		for i, v := range row {
			if t.Columns[i+1].Text {
				out = append(out, word(v))
				continue
			}
			out = append(out, parsed(v))
		}
		t.Rows = append(t.Rows, out)
	}
	s.Tables = append(s.Tables, t)
	return nil
}

func errShort(rows [][]string) error {
	if len(rows) < 2 {
		return errors.New("it has no rows")
	}
	return nil
}

// numeric says whether a column has numbers only.
func numeric(rows [][]string, i int) bool {
	some := false
	for _, row := range rows {
		if row[i] == "" {
			continue
		}
		if _, err := strconv.ParseFloat(row[i], 64); err != nil {
			return false
		}
		some = true
	}
	return some
}

// parsed is a number as a CSV file has it; an empty one is a dash.
func parsed(text string) Entry {
	x, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return number(nil, "–")
	}
	return number(&x, fmt.Sprintf("%.4g", x))
}
