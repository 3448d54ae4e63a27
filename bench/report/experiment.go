package report

import (
	"errors"
	"fmt"
	"strings"

	"github.com/leasestorm/leasestorm/bench/archive"
	"github.com/leasestorm/leasestorm/bench/internal/show"
)

// experiment is an experiment's findings and the table of its cells; its figure is the matrix.
func (p *Page) experiment(s *Section, path string) error {
	var f struct {
		Title    string `json:"title"`
		Scenario string `json:"scenario_toml"`
		Unit     string `json:"unit"`
		Plan     struct {
			Question string `json:"question"`
			Measure  string `json:"measure"`
			Factors  []struct {
				Name   string   `json:"name"`
				Levels []string `json:"levels"`
				Labels []string `json:"labels"`
			} `json:"factors"`
		} `json:"plan"`
		Cells []struct {
			At    []int   `json:"at"`
			Runs  float64 `json:"runs"`
			Lost  float64 `json:"lost"`
			Value *struct {
				Median float64 `json:"median"`
				Min    float64 `json:"min"`
				Max    float64 `json:"max"`
			} `json:"value"`
			Refused string `json:"refused"`
		} `json:"cells"`
		Findings []string `json:"findings"`
	}
	if _, err := archive.ReadResult(path, "an experiment", &f); err != nil {
		return err
	}
	p.study(s, f.Plan.Question+" "+f.Title, f.Scenario)
	s.Pre = strings.Join(f.Findings, "\n")
	measure := show.WithUnit(f.Plan.Measure, f.Unit)
	t := Table{Title: "cells"}
	for _, a := range f.Plan.Factors {
		t.Columns = append(t.Columns, Column{a.Name, true})
	}
	t.Columns = append(t.Columns, Column{"runs", false}, Column{"lost", false}, Column{measure, false}, Column{"refused", true})
	for _, c := range f.Cells {
		if len(c.At) != len(f.Plan.Factors) {
			return fmt.Errorf("%s: %w", path, errors.New("a cell without its levels"))
		}
		var row []Entry
		for k, a := range f.Plan.Factors {
			labels := a.Levels
			if len(a.Labels) == len(a.Levels) {
				labels = a.Labels
			}
			if c.At[k] < 0 || c.At[k] >= len(labels) {
				return fmt.Errorf("%s: factor %q has no level %d", path, a.Name, c.At[k])
			}
			row = append(row, word(labels[c.At[k]]))
		}
		row = append(row, number(&c.Runs, fmt.Sprint(c.Runs)), number(&c.Lost, fmt.Sprint(c.Lost)))
		if c.Value == nil {
			row = append(row, number(nil, "–"))
		} else {
			row = append(row, number(&c.Value.Median, spread{c.Value.Median, c.Value.Min, c.Value.Max, int(c.Runs)}.text("%.3g")))
		}
		t.Rows = append(t.Rows, append(row, word(c.Refused)))
	}
	s.Tables = append(s.Tables, t)
	return nil
}
