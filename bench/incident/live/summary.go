package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/leasestorm/leasestorm/bench/incident/live/client"
	"github.com/leasestorm/leasestorm/bench/internal/show"
)

// summary is the result of a run. Times in _s are seconds of the run, not of the day.
type summary struct {
	Seconds     int      `json:"seconds"`
	Seed        uint64   `json:"seed"`
	Mend        string   `json:"dns_mend"`
	Client      string   `json:"client"`
	Compression float64  `json:"compression"`
	Outage      bool     `json:"outage"`
	EmptiedAt   *float64 `json:"emptied_at_s"`
	MendedAt    *float64 `json:"mended_at_s"`
	BackAt      *float64 `json:"back_at_s"` // all clients' checks succeed again
	OutageTime  float64  `json:"outage_s"`
	FailingMost float64  `json:"failing_max"` // share of the clients
	Checks      checks   `json:"checks"`
	DNS         names    `json:"dns"`
	Manager     *managed `json:"manager"` // null: there was none
	Timeline    []moment `json:"timeline"`
}

// checks are the sampled state checks.
type checks struct {
	Clients     int     `json:"clients"`
	Total       int64   `json:"total"`
	PerSecond   float64 `json:"per_second"`
	Good        int64   `json:"good"`
	NoAddress   int64   `json:"no_address"`
	Unreachable int64   `json:"unreachable"`
	Other       int64   `json:"other"`
	Connections int64   `json:"connections"`
	P50         float64 `json:"p50_ms"`
	P99         float64 `json:"p99_ms"`
}

// names are the name server's counts.
type names struct {
	Queries int64 `json:"queries"`
	Empty   int64 `json:"empty_answers"`
	Updates int64 `json:"updates"`
	Fenced  int64 `json:"updates_fenced"`
	Refused int64 `json:"updates_refused"`
}

// moment is a line of the timeline.
type moment struct {
	At    float64 `json:"at_s"`
	Clock string  `json:"clock"`
	What  string  `json:"what"`
}

// look enters what a client would find at this time.
func (l *live) look(now time.Duration, addresses int) {
	at := l.wall(now).Seconds()
	if l.looks++; addresses == 0 {
		l.empty++
	}
	st := l.sample.Stats()
	l.sum.FailingMost = max(l.sum.FailingMost, float64(st.Failing)/float64(st.Clients))
	empty := l.sum.EmptiedAt != nil && l.sum.MendedAt == nil
	switch {
	case addresses == 0 && l.sum.EmptiedAt == nil:
		l.sum.Outage, l.sum.EmptiedAt = true, &at
		l.tell(now, "the name has no addresses: NOERROR, and nothing in it")
	case addresses > 0 && empty:
		l.sum.MendedAt, l.sum.OutageTime = &at, at-*l.sum.EmptiedAt
		l.tell(now, "the name has addresses again, by hand; "+failing(st))
	case l.sum.MendedAt != nil && l.sum.BackAt == nil && st.Failing == 0:
		l.sum.BackAt = &at
		l.tell(now, "all clients' checks succeed again")
	}
}

func failing(st client.Stats) string {
	return fmt.Sprintf("the checks of %d of %d clients fail", st.Failing, st.Clients)
}

// state is the line that comes at regular times.
func (l *live) state(now time.Duration) {
	st := l.sample.Stats()
	if l.manager != nil {
		l.tell(now, fmt.Sprintf("%s; %s", failing(st), l.rates(now)))
		return
	}
	l.tell(now, fmt.Sprintf("%s; %d checks so far, %d connections", failing(st), st.Checks(), st.Dials))
}

// finish fills in what is known at the end.
func (l *live) finish() {
	took := time.Since(l.began).Seconds()
	st, h := l.sample.Stats(), l.sample.Times()
	ms := func(q float64) float64 { return float64(h.ValueAtQuantile(q)) / 1e6 }
	l.sum.Checks = checks{
		Clients: st.Clients, Total: st.Checks(), PerSecond: float64(st.Checks()) / took, Good: st.Good, NoAddress: st.NoAddress,
		Unreachable: st.Unreachable, Other: st.Other, Connections: st.Dials, P50: ms(50), P99: ms(99),
	}
	if l.sum.Outage && l.sum.MendedAt == nil {
		l.sum.OutageTime = took - *l.sum.EmptiedAt
	}
	if l.manager != nil {
		l.sum.Manager = l.manager.summary(l.speed, l.sum.Checks.PerSecond)
	}
	d := l.names.Stats()
	// Without what the run itself has asked, to see the name.
	l.sum.DNS = names{d.Queries - l.looks, d.Empty - l.empty, d.Updates, d.Fenced, d.Refused}
}

// text is the summary for a person.
func (s *summary) text() string {
	var b strings.Builder
	c, d := s.Checks, s.DNS
	fmt.Fprintf(&b, "\nchecks       %d through the AWS SDK, %.0f per second; p50 %.2f ms, p99 %.2f ms\n", c.Total, c.PerSecond, c.P50, c.P99)
	fmt.Fprintf(&b, "failed       %d without an address, %d unreachable, %d otherwise\n", c.NoAddress, c.Unreachable, c.Other)
	fmt.Fprintf(&b, "name server  %d queries, %d empty answers, %d updates, %d refused by a prerequisite\n", d.Queries, d.Empty, d.Updates, d.Fenced)
	if s.Outage {
		fmt.Fprintf(&b, "outage       %.1f s (%s of the day); at most %.0f %% of the clients failed\n", s.OutageTime, (time.Duration(s.OutageTime*s.Compression) * time.Second).Round(time.Minute), 100*s.FailingMost)
	} else {
		fmt.Fprintln(&b, "no outage: the name had addresses at all times")
	}
	if s.Manager != nil {
		b.WriteString(s.Manager.text())
	}
	return b.String()
}

// text is the manager's part for a person.
func (m *managed) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "manager      %d leases, queue %s, admit %s, retry %s, %d workers; τ %.2g s, H %.3g s, TTL %.3g s\n", m.Leases, m.Queue, m.Admit, m.Retry, m.Workers, m.Timeout, m.Interval, m.TTL)
	fmt.Fprintf(&b, "sampled      %.2g %% of its checks in the steady state\n", 100*m.Sampled)
	fmt.Fprintf(&b, "verdict      %s; %d leases had lapsed at the mend, β %.2f; at most %d were lost\n", strings.ToUpper(string(m.Verdict)), m.Lapsed, m.Beta, m.Lost)
	fmt.Fprintf(&b, "after 02:25  collapse seen %s; the operator acts %s; all leases back %s, which is %s after the operator\n", show.Dash(m.Collapse, "%.1f s"), show.Dash(m.Operator, "%.1f s"), show.Dash(m.TTR, "%.1f s"), show.Dash(m.Rescue, "%.1f s"))
	if !m.Run.Valid {
		fmt.Fprintf(&b, "INVALID      %s\n", m.Run.Because)
	}
	for _, text := range m.Run.Noisy {
		fmt.Fprintf(&b, "noisy        %s\n", text)
	}
	return b.String()
}
