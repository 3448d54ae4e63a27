package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leasestorm/leasestorm/bench"
)

// An object that --json prints says which schema its keys are of, once.
func TestJSONSchema(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("x.csv", []byte("value_us,count\n5,1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	one := append([]string{"--json", "--seeds", "1"}, small...)
	axes := []string{"--x", "beta=1:4:2", "--contestants", "fifo"}
	for _, args := range [][]string{
		append([]string{"sim", "surge"}, one...), append([]string{"sim", "surge"}, append(one, "--seeds", "2")...),
		append([]string{"drill", "surge", "--json"}, small...), append([]string{"find-collapse", "surge"}, one...),
		{"border", "surge", "--json", "--leases", "200", "--seed", "7"}, {"bench", "generator", "--json", "--leases", "100", "--length", "1ms"},
		append(append([]string{"sweep", "surge"}, one...), axes...), append(append([]string{"map", "surge", "--y", "wait=0.1:1:2"}, one...), axes...),
		{"doctor", "--json"}, {"hist", "x.csv", "--json"}, {"describe", "queue/edf", "--json"},
	} {
		status, stdout, stderr := call(t, args...)
		var got struct {
			Schema int `json:"schema"`
		}
		if err := json.Unmarshal([]byte(stdout), &got); status != exitOK || err != nil || got.Schema != bench.ManifestSchema {
			t.Errorf("%v: status %d, schema %d, %v: %s", args, status, got.Schema, err, stderr)
		}
		if n := strings.Count(stdout, `"schema":`); n != 1 {
			t.Errorf("%v: %d schema numbers", args, n)
		}
	}
}

// A file of another schema is refused by its name and number, whoever reads it.
func TestOtherSchema(t *testing.T) {
	for _, tt := range []struct {
		file string
		args []string // before the folder
	}{
		{"suite.json", []string{"bench", "--resume"}},
		{"suite.json", []string{"rank", "--resume"}},
		{"map.json", []string{"map", "--resume"}},
		{"manifest.json", []string{"plot"}},
		{"map-result.json", []string{"plot"}},
		{"sweep.json", []string{"plot"}},
		{"experiment.json", []string{"plot"}},
		{"compare.json", []string{"plot"}},
		{"speed.json", []string{"plot"}},
		{"manifest.json", []string{"gate", "--require", "ttr<8s"}},
		{"aa.json", []string{"compare", "nowhere", "nowhere", "--envelope"}},
		{"manifest.json", []string{"sim", "surge", "--out", "none", "--service"}},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, tt.file), []byte(`{"schema": 99}`), 0o600); err != nil {
			t.Fatal(err)
		}
		last := dir
		if tt.args[len(tt.args)-1] == "--service" {
			last = "measured:" + dir
		}
		status, _, stderr := call(t, append(tt.args, last)...)
		if status == exitOK || !strings.Contains(stderr, "schema 99") || !strings.Contains(stderr, tt.file) {
			t.Errorf("%v on %s: status %d, %s", tt.args, tt.file, status, stderr)
		}
	}
}
