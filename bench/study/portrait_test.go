package study

import (
	"errors"
	"strings"
	"testing"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/lease"
	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/admit"
	"github.com/leasestorm/leasestorm/queue/catalog"
)

// Every part of every catalog has a description, a source, and a contestant that can be run.
func TestPortraits(t *testing.T) {
	for kind, names := range map[string][]string{
		"queue": queue.Catalog.Names(), "wrapper": queue.Wrappers.Names(), "admit": admit.Controllers.Names(), "estimator": admit.Estimators.Names(), "retry": admit.Retries.Names(), "table": lease.Catalog.Names(),
	} {
		for _, name := range names {
			all, err := Portraits(kind + "/" + name)
			if err != nil || len(all) != 1 || all[0].Kind != kind || all[0].Name != name || all[0].Doc == "" || all[0].Source == "" {
				t.Errorf("%s/%s: %v, %+v", kind, name, err, all)
				continue
			}
			q, rest, _ := strings.Cut(all[0].Contestant, "/")
			if all[0].Contestant != "" && (queue.Validate(q) != nil || !strings.Contains(q+"/"+rest, name)) || (all[0].Contestant == "") != (kind == "table") {
				t.Errorf("%s/%s runs %q", kind, name, all[0].Contestant)
			}
			for _, p := range all[0].Params {
				if p.Default == "" || p.Bounds == "" || p.Doc == "" || !strings.Contains(all[0].Text(), p.Name) {
					t.Errorf("%s/%s: %+v", kind, name, p)
				}
			}
			if short, err := Portraits(name); err != nil || len(short) == 0 {
				t.Errorf("%s: %v, %v", name, short, err)
			}
		}
	}
	for name, want := range map[string]string{ // kind/name of each
		"edf": "queue/edf wrapper/edf", "queue/edf": "queue/edf", "coalesce+deadline:margin=2": "wrapper/coalesce queue/deadline:margin=2", "percore+fair+fifo": "wrapper/percore wrapper/fair queue/fifo",
	} {
		all, err := Portraits(name)
		var got []string
		for _, p := range all {
			got = append(got, p.Kind+"/"+p.Name)
		}
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s is %v, want %s: %v", name, got, want, err)
		}
	}
	for name, want := range map[string]error{
		"nosuch": ErrNoPart, "": ErrNoPart, "queue/backoff": ErrNoPart, "edf/queue": ErrNoPart, "nosuch+fifo": ErrNoPart, "fair+nosuch": ErrNoPart,
		"codel:x=3": catalog.ErrParam, "codel:target=3": catalog.ErrParam, "edf+fifo:x=1": catalog.ErrParam,
	} {
		if all, err := Portraits(name); !errors.Is(err, want) || len(all) > 0 {
			t.Errorf("%q: %v, %v", name, all, err)
		}
	}
}

// A drawing shows what the verdict says: fifo never has its leases again, deadline has.
func TestPortraitSits(t *testing.T) {
	for _, tt := range []struct {
		name      string
		verdict   bench.Verdict
		law, beta bool // there is a border by the law, and in virtual time
	}{
		{"fifo", bench.Collapsed, true, true}, {"deadline", bench.Recovered, false, false}, {"admit/limit", bench.Recovered, false, false},
		{"wrapper/fair", bench.Collapsed, false, true}, {"retry/immediate", bench.Collapsed, true, true},
	} {
		all, err := Portraits(tt.name)
		if err == nil {
			err = all[0].Sit(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		p := all[0]
		c, text := p.Drawing, p.Text()
		last := c.Lost[len(c.Lost)-1]
		if c.Verdict != tt.verdict || (last > c.Broken/100) != (tt.verdict == bench.Collapsed) || len(c.Lost) != portraitSteps || len(c.Queued) != portraitSteps {
			t.Errorf("%s: %s, %d lost at the end of %d steps", tt.name, c.Verdict, last, len(c.Lost))
		}
		if (p.Border.Law != nil) != tt.law || (p.Border.Beta != nil) != tt.beta || strings.Contains(text, "β* ") != (tt.law || tt.beta) {
			t.Errorf("%s: border %+v\n%s", tt.name, p.Border, text)
		}
		if !strings.Contains(text, "█") || !strings.Contains(text, "‾‾‾‾ ") || !strings.Contains(text, p.Source) {
			t.Errorf("%s:\n%s", tt.name, text)
		}
	}
	tables, err := Portraits("table/mutex")
	if err != nil || tables[0].Sit(t.Context()) != nil || tables[0].Drawing != nil {
		t.Errorf("a table is drawn: %v, %+v", err, tables)
	}
}
