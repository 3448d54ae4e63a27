package report

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/leasestorm/leasestorm/bench/archive"
	"github.com/leasestorm/leasestorm/bench/host"
	"github.com/leasestorm/leasestorm/bench/internal/show"
)

// Build reads a result folder: that of a run, a suite or a study. What cannot be read is named on the
// page. The error is archive.ErrNoRuns, wrapped, if there is nothing to show.
func Build(ctx context.Context, dir string) (*Page, error) {
	p := &Page{}
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		return nil, fmt.Errorf("%s is a file: name the folder of a run, a suite or a study", dir)
	}
	studies, err := p.studies(dir)
	if err != nil {
		return nil, err
	}
	cells, damaged, err := archive.Salvage(ctx, dir)
	if err != nil && (!errors.Is(err, archive.ErrNoRuns) || len(studies) == 0) {
		return nil, err
	}
	for _, d := range damaged {
		p.Damaged = append(p.Damaged, d.Error())
	}
	tries := len(cells)
	cells = archive.Settle(cells)
	bare := 0
	for _, c := range cells {
		if c.Series == nil {
			bare++
		}
	}
	if bare > 0 {
		p.Damaged = append(p.Damaged, fmt.Sprintf("the curves of %d of %d runs: they have no series.csv that can be read", bare, len(cells)))
	}
	if len(cells)+len(studies) == 0 {
		return nil, fmt.Errorf("nothing in %s can be shown: %w", dir, errors.Join(damaged...))
	}
	p.Sections = studies
	var scenes []scene
	if len(cells) > 0 {
		if scenes, err = scenesOf(cells); err != nil {
			return nil, err
		}
		for _, s := range scenes {
			p.Sections = append(p.Sections, s.section)
		}
		p.Alerts = alerts(cells, tries-len(cells))
		p.describe(cells)
	}
	p.title(dir, scenes)
	return p, nil
}

// scene is an experiment and what happened in it.
type scene struct {
	section Section
	said    []string
	weight  int // contestants, more with an outage
}

// scenesOf makes a section per experiment, the one with the most contestants first.
func scenesOf(cells []archive.Cell) ([]scene, error) {
	names, byName := archive.Experiments(cells)
	var out []scene
	for _, name := range names {
		s, err := sceneOf(name, byName[name])
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	slices.SortStableFunc(out, func(a, b scene) int { return cmp.Compare(b.weight, a.weight) })
	return out, nil
}

// manyLines is the number of lines of a chart that the eye can tell apart.
const manyLines = 12

func sceneOf(name string, cells []archive.Cell) (s scene, err error) {
	all := archive.Contestants(cells)
	slices.SortStableFunc(all, func(a, b archive.Contestant) int { return cmp.Compare(rank(a), rank(b)) })
	ended := outcomes(all)
	s.said = sentences(cells, ended)
	s.section = Section{Name: name, Title: archive.Title(cells), Text: s.said}
	for _, c := range all {
		s.section.Names = append(s.section.Names, c.Name)
	}
	if len(all) > manyLines {
		s.section.Most = manyLines
		s.section.Hint = fmt.Sprintf("%d of %d contestants are drawn; a click on a name shows or hides it.", manyLines, len(all))
	}
	for _, o := range ended {
		text := o.verdict()
		if o.ttr.n > 0 && o.ttr.median > 0 {
			text += ", back after " + seconds(o.ttr.median)
			if o.ttr.low < o.ttr.high {
				text += fmt.Sprintf(" (%.2f–%.2f)", o.ttr.low, o.ttr.high)
			}
		}
		s.section.Verdicts = append(s.section.Verdicts, Verdict{o.name, text, o.class()})
	}
	s.weight = len(all)
	if len(cells[0].Manifest.Result.Points) > 0 {
		s.section.Parts = []Part{{Charts: []Chart{ramp(all, cells)}}}
	} else {
		_, outage := cells[0].Manifest.Phase("return")
		phase := "steady"
		if outage {
			s.weight, phase = s.weight+100, "return"
		}
		if drawn, whole := curved(all, cells); len(whole) > 0 {
			s.section.Parts = []Part{recovery(drawn, whole)}
			warm, err := heats(drawn)
			if err != nil {
				return s, err
			}
			if len(warm.Heats) > 0 {
				s.section.Parts = append(s.section.Parts, warm)
			}
		}
		var late Part
		for _, class := range []string{"establish", "check"} {
			c, ok, err := latency(all, cells, class, phase)
			if err != nil {
				return s, err
			}
			if ok {
				late.Charts = append(late.Charts, c)
			}
		}
		if len(late.Charts) > 0 {
			late.Title = "Latency"
			s.section.Parts = append(s.section.Parts, late)
		}
	}
	s.section.Tables = append([]Table{contestantTable(name+": medians over the valid runs (extremes)", ended)}, callTables(all)...)
	return s, nil
}

// curved leaves out the runs without a series, of which there can be no curves. The contestants keep
// their places.
func curved(all []archive.Contestant, cells []archive.Cell) ([]archive.Contestant, []archive.Cell) {
	missing := func(c archive.Cell) bool { return c.Series == nil }
	drawn := slices.Clone(all)
	for i, c := range drawn {
		drawn[i].Cells = slices.DeleteFunc(slices.Clone(c.Cells), missing)
	}
	return drawn, slices.DeleteFunc(slices.Clone(cells), missing)
}

// rank puts those that came back first, the fastest before the others.
func rank(c archive.Contestant) float64 {
	var ttr []float64
	lost := 0
	for _, cell := range c.Cells {
		if t := cell.Manifest.Result.TTR; t != nil {
			ttr = append(ttr, *t)
		} else {
			lost++
		}
	}
	return float64(lost)*1e9 + spreadOf(ttr).median
}

// alerts says why runs are invalid or noisy, and how many further tries there were of runs that the host
// spoilt.
func alerts(cells []archive.Cell, again int) []string {
	var out, noisy []string
	name := func(r archive.Result) string {
		return fmt.Sprintf("%s, %s/%s/%s, seed %d", r.Scenario, r.Queue, r.Admit, r.Retry, r.Seed)
	}
	for _, c := range cells {
		r := c.Manifest.Result
		switch {
		case !r.Valid:
			out = append(out, fmt.Sprintf("Invalid: %s: %s.", name(r), r.Why))
		case len(r.Noisy) > 0:
			noisy = append(noisy, fmt.Sprintf("%s: %s", name(r), strings.Join(r.Noisy, "; ")))
		}
	}
	if len(out) > 0 {
		out = append(out, "Invalid runs count in no figure and no median.")
	}
	if again > 0 {
		out = append(out, fmt.Sprintf("%d run%s made again, since the first try was invalid.", again, map[bool]string{true: " was", false: "s were"}[again == 1]))
	}
	if n := len(noisy); n > 0 {
		out = append(out, fmt.Sprintf("%d of %d runs are noisy: they count, with more spread than on a quiet host. The first: %s.", n, len(cells), noisy[0]))
	}
	return out
}

// describe tells the host, the commands and the scenarios.
func (p *Page) describe(cells []archive.Cell) {
	m := &cells[0].Manifest
	if m.Result.OnHost() {
		p.machine(m.Host, m.Usage)
	} else {
		p.Host = []Fact{{"engine", m.Result.Engine + " time: the same files on every host"}}
	}
	if b := m.Build; b.Go != "" {
		text := b.Version + ", commit " + b.Commit + ", " + b.Go
		if b.Dirty {
			text += ", with changes that are in no commit"
		}
		p.Host = append(p.Host, Fact{"program", text})
	}
	if !m.Started.IsZero() && m.Result.OnHost() {
		p.Host = append(p.Host, Fact{"started", m.Started.UTC().Format("2 January 2006 15:04:05 UTC")})
	}
	seen := map[string]bool{}
	for _, c := range cells {
		if text := c.Manifest.Scenario; text != "" && !seen[c.Manifest.Result.Scenario] && len(p.Scenarios) < 12 {
			seen[c.Manifest.Result.Scenario] = true
			p.Scenarios = append(p.Scenarios, Fact{c.Manifest.Result.Scenario + " (of the first run)", text})
		}
	}
	const most = 40
	if len(cells) == 1 {
		p.Commands = append(p.Commands, Fact{"This run again", m.Command})
		return
	}
	bySeed := slices.Clone(cells) // by folder, -s10 stands before -s2
	stem := func(c archive.Cell) string { return strings.TrimRight(c.Folder, "0123456789") }
	slices.SortStableFunc(bySeed, func(a, b archive.Cell) int {
		return cmp.Or(cmp.Compare(stem(a), stem(b)), cmp.Compare(a.Manifest.Result.Seed, b.Manifest.Result.Seed))
	})
	var all []string
	for _, c := range bySeed[:min(most, len(cells))] {
		all = append(all, c.Manifest.Command)
	}
	name := "Each run again"
	if len(cells) > most {
		name += fmt.Sprintf(" (the first %d of %d; the others are in the manifests)", most, len(cells))
	}
	p.Commands = append(p.Commands, Fact{name, strings.Join(all, "\n")})
}

// machine tells the host, and what spoils measurements there. u is what was seen of it during a run.
func (p *Page) machine(h host.Info, u host.Usage) {
	p.Host = []Fact{
		{"host", h.Name}, {"processor", fmt.Sprintf("%s, %d core%s, %d processor%s of %d allowed", h.CPU, h.Cores, show.Plural(h.Cores), len(h.CPUs), show.Plural(len(h.CPUs)), h.Online)},
		{"kernel", strings.TrimSpace(h.OS + " " + h.Kernel + ", " + h.Arch)}, {"clock source", cmp.Or(h.ClockSource, "not told")}, {"governor", cmp.Or(h.Governor, "not told")},
	}
	p.Findings = host.Examine(h, u, 0, 0)
}

// title names the page, and says above all else what happened.
func (p *Page) title(dir string, scenes []scene) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		abs = dir
	}
	switch {
	case len(scenes) > 0 && len(scenes[0].section.Names) == 1 && len(scenes) == 1:
		p.Title = scenes[0].section.Name + ", " + scenes[0].section.Names[0]
	case p.Title == "":
		p.Title = "leasestorm: " + filepath.Base(abs)
	}
	if len(p.Sections) == 1 && len(scenes) == 0 {
		p.Sections[0].Text = nil // it stands above
	}
	if len(p.Summary) == 0 && len(scenes) > 0 {
		p.Summary = slices.Clone(scenes[0].said)
		if len(scenes) > 1 {
			p.Summary[0] = scenes[0].section.Name + ": " + p.Summary[0]
		}
		p.Sections[len(p.Sections)-len(scenes)].Text = nil // it stands above
	}
}
