package main

import (
	"bytes"
	"encoding/json"
	"io"
	"testing"
	"time"

	"github.com/leasestorm/leasestorm/bench/incident/live/client"
)

// TestManager makes a run with the smallest manager. What the host's pace decides, as its verdict, is
// not tested.
func TestManager(t *testing.T) {
	if testing.Short() {
		t.Skip("10 s of a run: the long run has it")
	}
	var out bytes.Buffer
	cmd := root(&out, io.Discard)
	cmd.SetArgs([]string{"live", "--seconds", "10", "--leases", "2000", "--clients", "16", "--no-wait", "--listen", ":0", "--json"})
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	var sum summary
	if err := json.Unmarshal(out.Bytes(), &sum); err != nil {
		t.Fatal(err)
	}
	m := sum.Manager
	if m == nil || m.Run == nil || !sum.Outage {
		t.Fatal(out.String())
	}
	if m.Verdict == "" || m.Verdict != m.Run.Verdict || m.Run.Engine != "real" || m.Leases != 2000 {
		t.Errorf("%+v", m)
	}
	// A client's connection has ended while the name was empty, so its droplets have lost their leases.
	if m.Lost == 0 || sum.FailingMost == 0 || m.Operator == nil {
		t.Errorf("%d leases lost, %g of the clients failing", m.Lost, sum.FailingMost)
	}
	checks := 0.0
	for _, s := range m.Series {
		checks += s.Check
	}
	if len(m.Series) < 50 || checks == 0 {
		t.Errorf("%d steps, with %g good checks", len(m.Series), checks)
	}
}

// TestFits refuses what the manager cannot be, with the flag's or key's name.
func TestFits(t *testing.T) {
	for want, change := range map[string]func(*config){
		"--workers 10000":     func(c *config) { c.Workers = 10_000 },
		"--workers -1":        func(c *config) { c.Workers = -1 },
		"want 02:40 to 06:14": func(c *config) { c.Operator = "01:00" },
		"is not a time":       func(c *config) { c.Operator = "noon" },
		"queue":               func(c *config) { c.Queue = "queue-of-hope" },
		"leases":              func(c *config) { c.Leases, c.Seconds = 1_000_000_000, 10 },
	} {
		c := defaults()
		change(&c)
		_, err := newManager(&c)
		checkUsage(t, err, want)
	}
	fenced := defaults()
	fenced.Mend = "fencing"
	if m, err := newManager(&fenced); err != nil || m.runbook != nil {
		t.Errorf("without an outage the operator has a runbook: %v", err)
	}
}

// TestResume: a droplet waits for the first look-up after the mend that the cache does not answer.
func TestResume(t *testing.T) {
	c := defaults()
	m, err := newManager(&c)
	if err != nil {
		t.Fatal(err)
	}
	m.sample, m.names, m.zero = client.NewSample(client.Config{}, 1, 1), new(client.Names), time.Now()
	if at := m.resume(time.Second, 1); at != 0 {
		t.Errorf("a droplet whose client is well waits until %v", at)
	}
	margin := m.scenario.Timeout / resumeMargin
	for _, missing := range []time.Duration{time.Second, m.mend - m.negative, m.mend - 1, m.mend, m.mend + time.Second} {
		at := m.after(missing, 0)
		if at < max(missing, m.mend)+margin || at > max(missing, m.mend+m.negative)+margin || (at-margin-missing)%m.negative != 0 {
			t.Errorf("missing until %v: resumes at %v", missing, at)
		}
	}
	if late := m.mend + time.Hour; m.after(m.mend, late) != late+margin {
		t.Error("a droplet resumes before now")
	}
}
