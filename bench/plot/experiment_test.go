package plot

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const smallExperiment = `{"schema": 1, "title": "small: 2 cells", "unit": "s", "back": true,
"plan": {"name": "small", "question": "Which?", "measure": "ttr", "rows": "order", "columns": "surge",
	"factors": [{"name": "order", "levels": ["fifo", "lifo"]}, {"name": "surge", "levels": ["1"]}]},
"cells": [{"at": [0, 0], "runs": 2, "lost": 2}, {"at": [1, 0], "runs": 2, "value": {"median": 1.5, "min": 1, "max": 2}}]}`

// An experiment is drawn; a file that is none is refused with its name.
func TestExperiment(t *testing.T) {
	draw := func(old, to string) ([]string, error) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, ExperimentFile), []byte(strings.Replace(smallExperiment, old, to, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		return drawExperiment(dir)
	}
	if names, err := draw("", ""); err != nil || len(names) != 1 || names[0] != "experiment-small" {
		t.Errorf("%v, %v", names, err)
	}
	for _, tt := range [][2]string{
		{`"at": [1, 0]`, `"at": [2, 0]`}, {`"at": [1, 0]`, `"at": [-1, 0]`}, {`"at": [1, 0]`, `"at": []`}, {`"at": [1, 0]`, `"at": [0, 0]`},
		{`["fifo", "lifo"]`, `["fifo"]`}, {`["1"]`, `[]`}, {`"rows": "order"`, `"rows": "nothing"`}, {`"name": "small"`, `"name": "../x"`},
	} {
		if _, err := draw(tt[0], tt[1]); err == nil || !strings.Contains(err.Error(), ExperimentFile) {
			t.Errorf("%s: %v", tt[1], err)
		}
	}
}
