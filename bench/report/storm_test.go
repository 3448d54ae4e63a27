package report

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The page of a storm says how its calls ended, and which agents made them.
func TestCalls(t *testing.T) {
	dir := t.TempDir()
	run(t, dir, "surge", "target", "recovered", 1, 100)
	path := filepath.Join(dir, "manifest.json")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	without := made(t, dir)
	target := `"target": {"kinds": {"answered": 12345, "connection refused": 7}, "statuses": {"503": 45},
		"agents": [{"name": "a <1>", "host": "h1", "droplets": {"from": 0, "to": 500}, "requests": 6789, "clock_offset_ms": 0.25, "clock_error_ms": null,
		"slip_ms": {"p999": 1.5}, "lag_ms": {"p999": 2.75}, "lost": "silent for 5 s"}]}, "valid":`
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), `"valid":`, target, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	with := made(t, dir)
	for _, want := range []string{"How calls ended", "12,345", "connection refused", "answered: status 503", "Agents", "a &lt;1&gt;", "6,789", "0.25", "1.50", "2.75", "silent for 5 s"} {
		if !strings.Contains(with, want) || strings.Contains(without, want) {
			t.Errorf("%q: %v with calls, %v without", want, strings.Contains(with, want), strings.Contains(without, want))
		}
	}
}
