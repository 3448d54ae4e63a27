package incident

import (
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/incident/operator"
	"github.com/leasestorm/leasestorm/bench/internal/show"
	"github.com/leasestorm/leasestorm/bench/record"
	"github.com/leasestorm/leasestorm/queue"
)

// Text is the replay for a person.
func (res *Result) Text() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("%s leases in %d partitions, %s, runbook %s, seed %d", show.Count(res.Leases), res.Partitions, res.Manager, res.Runbook, res.Seed)
	switch {
	case !res.Outage:
		line("no outage: the name had its records all day")
	case res.ReturnAt == nil:
		line("the name was empty from %s on, and nobody mended it", clock(res.OutageAt))
	default:
		line("the name was empty from %s to %s", clock(res.OutageAt), clock(res.ReturnAt))
	}
	line("%s of the leases (%.1f %%) had lapsed by then, %s at the worst", show.Count(res.LeasesOut), 100*float64(res.LeasesOut)/float64(res.Leases), show.Count(res.LostMost))
	if res.CollapsedAt != nil {
		line("the managers collapsed by %s", clock(res.CollapsedAt))
	}
	line("verdict: %s%s", res.Verdict, minutes(", all leases back %s after the name", res.TTR)+minutes(", %s after the operator's first action at the managers", res.Rescue))
	line("launches: %s asked for, %s good, %s \"insufficient capacity\", %s \"request limit exceeded\", %s without metadata, %s timed out; stops: %s of %s failed",
		show.Count(res.LaunchesAsked), show.Count(res.LaunchesOK), show.Count(res.NoCapacity), show.Count(res.LimitExceeded), show.Count(res.NoMetadata), show.Count(res.LaunchesLate),
		show.Count(res.StopsFailed), show.Count(res.StopsAsked))
	line("network: at most %s configurations behind, %.0f min; targets in service: %.1f %% at the worst", show.Count(res.NetworkBacklog), res.NetworkDelay/60, 100*res.TargetsMin)
	line("services: %d of them down at the worst; %s lease-hours and %s service-hours lost", res.ServicesDownMax, show.Group(res.LeaseHours), show.Group(res.ServiceHours))
	if n := len(res.Services.Hands); n > 0 {
		line("%d circle%s of services needed a hand", n, show.Plural(n))
	}
	b.WriteString("\n" + res.timelineText() + res.eventsText() + "\n" + res.alertsText())
	return b.String()
}

func clock(at *float64) string {
	if at == nil {
		return "–"
	}
	return operator.Clock(duration(*at))
}

func minutes(format string, s *float64) string {
	if s == nil {
		return ""
	}
	return fmt.Sprintf(format, fmt.Sprintf("%.0f min", *s/60))
}

func (res *Result) timelineText() string {
	rows := [][]string{{"public", "replay", "off", "kind", "what (times are PDT)"}}
	for _, r := range res.Timeline {
		off := "–"
		switch {
		case r.Kind == Input:
			off = ""
		case r.Off != nil:
			off = fmt.Sprintf("%+.0f min", *r.Off/60)
		}
		kind := string(r.Kind)
		if r.By != "" {
			kind += " by " + r.By
		}
		rows = append(rows, []string{r.Public, clock(r.Ours), off, kind, r.What})
	}
	return show.Columns(rows)
}

// mostEvents is the largest number of lines of eventsText.
const mostEvents = 12

// eventsText is what DNS did; nothing if nothing happened. It follows a table.
func (res *Result) eventsText() string {
	if len(res.Events) == 0 {
		return ""
	}
	rows := [][]string{{"PDT", "plan", "what DNS did"}}
	for i, e := range res.Events {
		if left := len(res.Events) - i; i == mostEvents-1 && left > 1 {
			rows = append(rows, []string{"", "", fmt.Sprintf("and %d more: events in incident.json", left)})
			break
		}
		rows = append(rows, []string{operator.ClockSeconds(duration(e.At)), strconv.Itoa(e.Plan), e.What})
	}
	return "\n" + show.Columns(rows)
}

func (res *Result) alertsText() string {
	rows := [][]string{{"alert", "would fire", "the day's people knew", "earlier by"}}
	for _, a := range res.Alerts {
		earlier, knew := "–", a.Knew
		if a.Earlier != nil {
			earlier = fmt.Sprintf("%.0f min", *a.Earlier/60)
		}
		if knew == "" {
			knew = "not public"
		}
		rows = append(rows, []string{a.Name, clock(a.FiresAt), knew, earlier})
	}
	return show.Columns(rows)
}

// seriesColumns are the columns of a replay's series.
var seriesColumns = []struct {
	name string
	of   func(p *point) float64
}{
	{"t_s", func(p *point) float64 { return p.at.Seconds() }},
	{"plan", func(p *point) float64 { return float64(p.plan) }},
	{"records", func(p *point) float64 { return float64(p.records) }},
	{"name_share", func(p *point) float64 { return p.name }},
	{"active", func(p *point) float64 { return float64(p.Active) }},
	{"active_share", func(p *point) float64 { return 1 - p.lost }},
	{"queued", func(p *point) float64 { return float64(p.Queued) }},
	{"queue_age_s", func(p *point) float64 { return p.age.Seconds() }},
	{"good_check_per_s", func(p *point) float64 { return perSecond(p.Done[queue.Good][queue.Check]) }},
	{"good_establish_per_s", func(p *point) float64 { return perSecond(p.Done[queue.Good][queue.Establish]) }},
	{"good_launch_per_s", func(p *point) float64 { return perSecond(p.Done[queue.Good][queue.Launch]) }},
	{"late_per_s", func(p *point) float64 { return perSecond(p.Done[queue.Late].Sum()) }},
	{"shed_per_s", func(p *point) float64 { return perSecond(p.Done[queue.Shed].Sum()) }},
	{"failed_per_s", func(p *point) float64 { return perSecond(p.Done[queue.Failed].Sum()) }},
	{"launch_ok_share", func(p *point) float64 { return p.launchOK }},
	{"network_backlog", func(p *point) float64 { return p.Backlog }},
	{"network_delay_s", func(p *point) float64 { return p.Delay.Seconds() }},
	{"targets_share", func(p *point) float64 { return p.inService }},
	{"zones_out", func(p *point) float64 { return float64(p.targets.ZonesOut) }},
	{"connection_errors", func(p *point) float64 { return p.targets.Errors }},
	{"services_up", func(p *point) float64 { return float64(p.up.Up) }},
	{"services_degraded", func(p *point) float64 { return float64(p.up.Degraded) }},
	{"services_down", func(p *point) float64 { return float64(p.up.Down) }},
}

func perSecond(n uint64) float64 { return float64(n) / Step.Seconds() }

// writeSeries writes the series as CSV. A value that does not exist is empty.
func (res *Result) writeSeries(w io.Writer) error {
	c := csv.NewWriter(w)
	head := make([]string, len(seriesColumns))
	for i, col := range seriesColumns {
		head[i] = col.name
	}
	if err := c.Write(head); err != nil {
		return err
	}
	row := make([]string, len(head))
	for i := range res.series {
		for k, col := range seriesColumns {
			row[k] = ""
			if x := col.of(&res.series[i]); !math.IsNaN(x) {
				row[k] = strconv.FormatFloat(x, 'g', 8, 64)
			}
		}
		if err := c.Write(row); err != nil {
			return err
		}
	}
	c.Flush()
	return c.Error()
}

// figure is what bench/plot reads of a replay: see plot.Incident.
type figure struct {
	Schema   int       `json:"schema"`
	Title    string    `json:"title"`
	Begin    time.Time `json:"begin"`
	Outages  []span    `json:"outages"`
	Operator []act     `json:"operator"`
	Variants []variant `json:"variants"`
	Result   *Result   `json:"result"`

	Command  string          `json:"command"` // makes the replay again
	Scenario string          `json:"scenario_toml"`
	Build    bench.BuildInfo `json:"build"`
}

type span struct {
	From float64 `json:"from_s"`
	To   float64 `json:"to_s"`
}

type act struct {
	At   float64 `json:"at_s"`
	What string  `json:"what"`
}

type variant struct {
	Name   string `json:"name"`
	Series string `json:"series"`
}

// Save writes the folder dir: incident.json, the series, the text, and what the replay was made of.
// With a day, the replay as it was without what this one has changed, both are laid over each other.
// An error wraps record.ErrExists if dir is there.
func (res *Result) Save(dir string, cfg *Config, day *Result) error {
	f, err := record.Create(dir)
	if err != nil {
		return err
	}
	defer f.Abandon()
	fig := figure{
		Schema: bench.ManifestSchema, Begin: Begin, Result: res, Command: cfg.command(), Scenario: cfg.Manager.TOML(), Build: bench.ReadBuildInfo(),
		Title: fmt.Sprintf("20 October 2025, replayed: %s leases, %d partitions, %s, seed %d", show.Count(res.Leases), res.Partitions, res.Manager, res.Seed),
	}
	of := res
	if day != nil && len(day.empty) > 0 {
		of = day
	}
	for _, w := range of.empty {
		fig.Outages = append(fig.Outages, span{w.From.Seconds(), min(w.To, cfg.End).Seconds()})
	}
	for _, s := range cfg.Runbook.Steps {
		if s.At < cfg.End && of.Outage {
			fig.Operator = append(fig.Operator, act{s.At.Seconds(), s.What()})
		}
	}
	write := func(name, file string, res *Result) {
		if err == nil {
			err = f.Write(file, res.writeSeries)
			fig.Variants = append(fig.Variants, variant{name, file})
		}
	}
	if day != nil {
		write("the day as it was", "series-day.csv", day)
		write(strings.Join(cfg.changed(), " "), "series.csv", res)
	} else {
		write("the day", "series.csv", res)
	}
	for _, file := range []struct {
		name  string
		write func(io.Writer) error
	}{
		{"incident.json", record.JSON(fig)},
		{"incident.txt", record.Text(res.Text())},
		{"runbook.toml", record.Text(cfg.Runbook.TOML())},
	} {
		if err == nil {
			err = f.Write(file.name, file.write)
		}
	}
	if err == nil {
		err = f.Commit()
	}
	res.Folder = f.Path()
	return err
}
