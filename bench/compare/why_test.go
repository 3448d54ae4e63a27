package compare

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/leasestorm/leasestorm/bench/internal/archivetest"
)

// isBlind says that no contestant's difference can be real.
func isBlind(c *Comparison) bool {
	_, all := c.Blind()
	return all
}

// The JSON has all that a page or a script needs: of each row its mark and why it has it; lists are
// never null.
func TestJSON(t *testing.T) {
	type row struct {
		Contestant, Measure, Mark, Why string
		A, B                           *struct{ Median, Min, Max, N *float64 }
	}
	dir := t.TempDir()
	archivetest.WriteSuite(t, filepath.Join(dir, "a"), 10, 1, nil)
	archivetest.WriteSuite(t, filepath.Join(dir, "b"), 10, 2, map[string]float64{"deadline": 0.06})
	e, err := MakeEnvelope(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	a, b := suite(t, 10, 1, nil), suite(t, 10, 2, map[string]float64{"deadline": 0.05, "lifo": 0.2})
	few := suite(t, 2, 3, nil)
	lost := t.TempDir()
	archivetest.Run{Result: map[string]any{"ttr_s": nil, "engine": "virtual"}}.Write(t, filepath.Join(lost, "x"))
	back := t.TempDir()
	archivetest.Run{Result: map[string]any{"engine": "virtual"}}.Write(t, filepath.Join(back, "x"))
	for _, tt := range []struct{ a, b, row, mark, why string }{
		{a, b, "lifo ttr", "worse", "the corrected p is at most alpha, and the change is outside the A/A envelope"},
		{b, a, "lifo goodput", "better", "the corrected p is at most alpha, and the change is outside the A/A envelope"},
		{a, b, "deadline ttr", "~", "inside the A/A envelope"},
		{a, b, "codel ttr", "~", "the corrected p is above alpha"},
		{a, b, "codel lost", "=", "all values are the same"},
		{a, few, "codel ttr", "~", "too few runs to show a difference in so many tests"},
		{back, lost, "deadline ttr", "differs", "exact: virtual time, the same seeds"},
		{back, back, "deadline ttr", "=", "exact: no difference"},
	} {
		how := How{}
		if tt.a != back {
			how.Envelope = e
		}
		text, err := json.Marshal(folders(t, tt.a, tt.b, how))
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			Unlike, Problems, Notes, OnlyA, OnlyB []string
			Rows                                  []row
		}
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		for _, list := range []string{"unlike", "problems", "notes", "only_a", "only_b", "rows"} {
			if strings.Contains(string(text), fmt.Sprintf(`"%s":null`, list)) || !strings.Contains(string(text), fmt.Sprintf(`"%s":[`, list)) {
				t.Errorf("%s is no list: %.300s", list, text)
			}
		}
		at := slices.IndexFunc(got.Rows, func(r row) bool { return r.Contestant+" "+r.Measure == tt.row })
		if at < 0 || got.Rows[at].Mark != tt.mark || got.Rows[at].Why != tt.why {
			t.Errorf("%s: want %s, %s\n%s", tt.row, tt.mark, tt.why, text)
			continue
		}
		if r := got.Rows[at]; r.A == nil || r.A.Median == nil || r.A.Min == nil || r.A.Max == nil || r.A.N == nil {
			t.Errorf("%s: side A is %+v", tt.row, r.A)
		}
	}
}

// A contestant with too few runs is named, though others have enough.
func TestBlind(t *testing.T) {
	a, b := suite(t, 10, 1, nil), suite(t, 10, 2, nil)
	archivetest.Run{Seed: 1, Result: map[string]any{"queue": "pie"}}.Write(t, filepath.Join(a, "pie"))
	archivetest.Run{Seed: 1, Result: map[string]any{"queue": "pie", "ttr_s": 20}}.Write(t, filepath.Join(b, "pie"))
	c := folders(t, a, b, How{})
	if names, all := c.Blind(); all || strings.Join(names, ", ") != "surge pie" {
		t.Errorf("blind for %v, all %v\n%s", names, all, c.Text())
	}
}
