package desk

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/leasestorm/leasestorm/bench/scenario"
)

// Each scenario to start from is the file's: the keys that it gives make the same scenario.
func TestCatalog(t *testing.T) {
	c, err := newCatalog()
	if err != nil {
		t.Fatal(err)
	}
	worked := 0
	for _, start := range c.Scenarios {
		a := Ask{Keys: start.Keys}
		got, err := a.Scenario("")
		if err != nil {
			t.Errorf("%s: %v", start.Name, err)
			continue
		}
		name := start.Name
		if start.Worked {
			worked++
			name = "../../../docs/examples/scenarios/" + name + ".toml"
		}
		want, err := scenario.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		want.Workers = max(1, want.Workers)
		if got != want {
			t.Errorf("%s: %v, want %v", start.Name, got.Settings(), want.Settings())
		}
	}
	if worked < 3 || len(c.Scenarios) < 13 || len(c.Queues) < 10 || len(c.Controllers) < 10 || len(c.Retries) < 4 {
		t.Errorf("%d scenarios, %d of them worked, %d queues, %d controllers, %d retries", len(c.Scenarios), worked, len(c.Queues), len(c.Controllers), len(c.Retries))
	}
}

// What cannot be is refused with the key's name; a contestant that cannot run does not hide the others.
func TestRefuses(t *testing.T) {
	for _, tt := range []struct{ key, value, contestant, says string }{
		{"leases", "x", "", "leases"}, {"leases", "1\nbroken = 1", "", "leases"}, {"timeout", "soon", "", "timeout"}, {"colour", "red", "", "colour"},
		{"name", "a/b", "", "name"}, {"queue", "lifo\"\nleases = 1", "", "queue"}, {"broken", "-1", "", "broken"}, {"service_law", "measured:/etc", "", "service_law"},
		{"leases", "1000", "nonsense", "nonsense"}, {"leases", "1000", "a/b/c/d", "contestant"},
	} {
		a := Ask{Keys: map[string]string{tt.key: tt.value}}
		if _, err := a.Scenario(tt.contestant); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s = %q, %q: %v", tt.key, tt.value, tt.contestant, err)
		}
	}
	text, err := Answer(t.Context(), "law", []byte(`{"keys": {"leases": "1000"}, "contestants": ["nonsense", "fifo"], "seed": 1}`), nil)
	var l Law
	if err == nil {
		err = json.Unmarshal(text, &l)
	}
	if err != nil || len(l.Contestants) != 2 || l.Contestants[0].Error == "" || l.Contestants[1].Error != "" || !l.Contestants[1].Covered {
		t.Errorf("%s, %v", text, err)
	}
	for _, question := range []string{"", "delete"} {
		if _, err := Answer(t.Context(), question, []byte("{}"), nil); err == nil {
			t.Errorf("question %q is answered", question)
		}
	}
}
