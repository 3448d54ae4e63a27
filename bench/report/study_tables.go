package report

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/leasestorm/leasestorm/bench/archive"
	"github.com/leasestorm/leasestorm/bench/internal/axis"
	"github.com/leasestorm/leasestorm/bench/internal/show"
)

// studyAxis is an axis of a map or sweep.
type studyAxis struct {
	Axis string `json:"axis"`
	Unit string `json:"unit"`
	axis.Steps
}

func (a studyAxis) label() string { return show.WithUnit(a.Axis, a.Unit) }

// theMap is a table of the border: at each y, how far a contestant goes along x.
func (p *Page) theMap(s *Section, path string) error {
	var f struct {
		Title       string    `json:"title"`
		Scenario    string    `json:"scenario_toml"`
		X           studyAxis `json:"x"`
		Y           studyAxis `json:"y"`
		Contestants []string  `json:"contestants"`
		Points      []struct {
			Contestant int `json:"contestant"`
			X          int `json:"x"`
			Y          int `json:"y"`
			Lost       int `json:"lost"`
			Runs       int `json:"runs"`
		} `json:"points"`
	}
	if _, err := archive.ReadResult(path, "a map", &f); err != nil {
		return err
	}
	if f.X.N < 1 || f.Y.N < 1 || f.X.N > 1000 || f.Y.N > 1000 {
		return fmt.Errorf("%s: not a map: %d × %d places", path, f.X.N, f.Y.N)
	}
	// first[c][y] is the smallest x at which a run was lost; X.N: none was.
	first := make([][]int, len(f.Contestants))
	for c := range first {
		first[c] = slices.Repeat([]int{f.X.N}, f.Y.N)
	}
	for _, pt := range f.Points {
		if pt.Contestant < 0 || pt.Contestant >= len(first) || pt.X < 0 || pt.X >= f.X.N || pt.Y < 0 || pt.Y >= f.Y.N {
			return fmt.Errorf("%s: a point stands outside the map", path)
		}
		if pt.Lost > 0 {
			first[pt.Contestant][pt.Y] = min(first[pt.Contestant][pt.Y], pt.X)
		}
	}
	p.study(s, f.Title, f.Scenario)
	t := Table{Title: "the largest " + f.X.label() + " below the first loss, by contestant", Columns: []Column{{f.Y.label(), false}}}
	for _, c := range f.Contestants {
		t.Columns = append(t.Columns, Column{c, false})
	}
	for y := range f.Y.N {
		at := f.Y.At(float64(y))
		row := []Entry{number(&at, fmt.Sprintf("%.4g", at))}
		for c := range f.Contestants {
			switch n := first[c][y]; n {
			case 0:
				row = append(row, number(nil, "none"))
			case f.X.N:
				most := math.Inf(1)
				row = append(row, number(&most, "all"))
			default:
				most := f.X.At(float64(n - 1))
				row = append(row, number(&most, fmt.Sprintf("%.4g", most)))
			}
		}
		t.Rows = append(t.Rows, row)
	}
	s.Tables = append(s.Tables, t)
	return nil
}

// study says of a study what it is.
func (p *Page) study(s *Section, title, scenario string) {
	if title != "" {
		s.Text = append(s.Text, title+".")
		p.Summary = append(p.Summary, strings.ToUpper(title[:1])+title[1:]+".")
	}
	if scenario != "" {
		p.Scenarios = append(p.Scenarios, Fact{"of the study", scenario})
	}
}

// sweep is charts and a table along an axis.
func (p *Page) sweep(s *Section, path string) error {
	type three struct {
		Median float64 `json:"median"`
		Min    float64 `json:"min"`
		Max    float64 `json:"max"`
	}
	var f struct {
		Title       string    `json:"title"`
		Scenario    string    `json:"scenario_toml"`
		X           studyAxis `json:"x"`
		Contestants []string  `json:"contestants"`
		Points      []struct {
			Contestant int     `json:"contestant"`
			X          float64 `json:"x"`
			Lost       int     `json:"lost"`
			Runs       int     `json:"runs"`
			TTR        *three  `json:"ttr_s"`
			Efficiency *three  `json:"efficiency"`
		} `json:"points"`
	}
	if _, err := archive.ReadResult(path, "a sweep", &f); err != nil {
		return err
	}
	p.study(s, f.Title, f.Scenario)
	s.Names = f.Contestants
	charts := []Chart{{Title: "time to recover", YLabel: "s"}, {Title: "runs that do not come back", YLabel: "% of the runs"}, {Title: "efficiency η", YLabel: "1: the physical limit"}}
	t := Table{Title: "points", Columns: []Column{{"contestant", true}, {f.X.label(), false}, {"runs", false}, {"lost", false}, {"TTR (s)", false}, {"η", false}}}
	for c, name := range f.Contestants {
		series := []Series{{Name: name, Key: c}, {Name: name, Key: c}, {Name: name, Key: c}}
		var x Numbers
		add := func(k int, v *three) {
			if v == nil {
				v = &three{math.NaN(), math.NaN(), math.NaN()}
			}
			series[k].Y, series[k].Low, series[k].High = append(series[k].Y, v.Median), append(series[k].Low, v.Min), append(series[k].High, v.Max)
		}
		for _, pt := range f.Points {
			if pt.Contestant != c {
				continue
			}
			x = append(x, pt.X)
			add(0, pt.TTR)
			add(2, pt.Efficiency)
			series[1].Y = append(series[1].Y, 100*float64(pt.Lost)/float64(max(1, pt.Runs)))
			runs, lost := float64(pt.Runs), float64(pt.Lost)
			row := []Entry{word(name), number(&pt.X, fmt.Sprintf("%.4g", pt.X)), number(&runs, fmt.Sprint(pt.Runs)), number(&lost, fmt.Sprint(pt.Lost))}
			for _, v := range []*three{pt.TTR, pt.Efficiency} {
				if v == nil {
					row = append(row, number(nil, "–"))
					continue
				}
				row = append(row, number(&v.Median, spread{v.Median, v.Min, v.Max, 2}.text("%.2f")))
			}
			t.Rows = append(t.Rows, row)
		}
		for k := range charts {
			if charts[k].X == nil {
				charts[k].X, charts[k].XLabel = x, f.X.label()
			}
			if !slices.Equal(charts[k].X, x) {
				return fmt.Errorf("%s: %s has other places than %s", path, name, f.Contestants[0])
			}
			charts[k].Series = append(charts[k].Series, series[k])
		}
	}
	s.Parts, s.Tables = []Part{{Charts: charts}}, append(s.Tables, t)
	return nil
}

// incident is the public timeline beside the replay's.
func (p *Page) incident(s *Section, path string) error {
	var f struct {
		Title    string    `json:"title"`
		Begin    time.Time `json:"begin"`
		Command  string    `json:"command"`
		Scenario string    `json:"scenario_toml"`
		Result   struct {
			Verdict   string   `json:"verdict"`
			Outage    bool     `json:"outage"`
			OutageS   *float64 `json:"outage_s"`
			Lost      int      `json:"leases_lost_max"`
			Collapsed *float64 `json:"collapsed_at_s"`
			Down      int      `json:"services_down_max"`
			Timeline  []struct {
				Public string   `json:"public"`
				What   string   `json:"what"`
				Kind   string   `json:"kind"`
				Ours   *float64 `json:"ours_at_s"`
				Off    *float64 `json:"off_s"`
			} `json:"timeline"`
		} `json:"result"`
	}
	if _, err := archive.ReadResult(path, "the result of an incident", &f); err != nil {
		return err
	}
	p.study(s, f.Title, f.Scenario)
	p.Commands = append(p.Commands, Fact{"The replay again", f.Command})
	said := "The name was never without an answer."
	if r := f.Result; r.Outage && r.OutageS != nil {
		said = fmt.Sprintf("The name was empty for %s; %s leases were lost at the worst", hours(*r.OutageS), show.Count(r.Lost))
		if r.Collapsed != nil {
			said += ", the lease managers collapsed"
		}
		said += fmt.Sprintf(", and %d of 140 services were down at once; in the end: %s.", r.Down, r.Verdict)
	}
	s.Text, p.Summary = append(s.Text, said), append(p.Summary, said)
	t := Table{Title: "the public timeline beside the replay's (PDT)", Columns: []Column{{"public", true}, {"what", true}, {"mark", true}, {"replayed", false}, {"off (min)", false}}}
	for _, row := range f.Result.Timeline {
		e := []Entry{word(row.Public), remark(row.What), word(row.Kind), number(nil, "never"), number(nil, "–")}
		if row.Ours != nil {
			e[3] = number(row.Ours, f.Begin.Add(time.Duration(*row.Ours*float64(time.Second))).Format("15:04"))
		}
		if row.Off != nil {
			e[4] = number(row.Off, fmt.Sprintf("%+.0f", *row.Off/60))
		}
		t.Rows = append(t.Rows, e)
	}
	s.Tables = append(s.Tables, t)
	return nil
}

// hours is a time in hours and minutes.
func hours(s float64) string {
	minutes := int(math.Round(s / 60))
	return fmt.Sprintf("%d h %d min", minutes/60, minutes%60)
}

// counterfactuals is a table of what each layer, and each pair, would have saved.
func (p *Page) counterfactuals(s *Section, path string) error {
	type variant struct {
		Layers  []string `json:"layers"`
		Seeds   int      `json:"seeds"`
		Outages int      `json:"outages"`
		Falls   int      `json:"collapses"`
		Lease   float64  `json:"lease_hours_lost"`
		Service float64  `json:"service_hours_lost"`
		Stopped bool     `json:"stopped"`
	}
	var f struct {
		Day   variant   `json:"day"`
		Alone []variant `json:"alone"`
		Pairs []variant `json:"pairs"`
	}
	if _, err := archive.ReadResult(path, "counterfactuals", &f); err != nil {
		return err
	}
	stopped := 0
	for _, v := range f.Alone {
		if v.Stopped {
			stopped++
		}
	}
	said := fmt.Sprintf("%d layers were tried alone, and %d pairs; %d layers stop the day alone.", len(f.Alone), len(f.Pairs), stopped)
	s.Text, p.Summary = append(s.Text, said), append(p.Summary, said)
	for _, part := range []struct {
		title string
		all   []variant
	}{{"each layer alone, and the day as it was", append([]variant{f.Day}, f.Alone...)}, {"pairs of layers", f.Pairs}} {
		t := Table{Title: part.title, Columns: []Column{{"layers", true}, {"seeds", false}, {"outages", false}, {"collapses", false}, {"lease-hours lost (%)", false}, {"service-hours lost (%)", false}, {"stops the day", true}}}
		for _, v := range part.all {
			name := "the day"
			if len(v.Layers) > 0 {
				name = strings.Join(v.Layers, ", ")
			}
			row := []Entry{word(name)}
			for _, n := range []int{v.Seeds, v.Outages, v.Falls} {
				x := float64(n)
				row = append(row, number(&x, fmt.Sprint(n)))
			}
			for _, x := range []float64{100 * v.Lease / f.Day.Lease, 100 * v.Service / f.Day.Service} {
				row = append(row, number(&x, fmt.Sprintf("%.1f", x)))
			}
			t.Rows = append(t.Rows, append(row, word(map[bool]string{true: "yes", false: "no"}[v.Stopped])))
		}
		if len(t.Rows) > 0 {
			s.Tables = append(s.Tables, t)
		}
	}
	return nil
}
