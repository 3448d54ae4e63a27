package report

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leasestorm/leasestorm/bench/compare"
	"github.com/leasestorm/leasestorm/bench/internal/archivetest"
)

// The page of a comparison has a row for each measure and says which differences are real, and a
// scenario's name stays text.
func TestComparisonPage(t *testing.T) {
	const hostile = "<script>alert(1)</script>"
	dirs := [2]string{t.TempDir(), t.TempDir()}
	for i, dir := range dirs {
		archivetest.WriteSuite(t, dir, 10, uint64(i+1), map[string]float64{"lifo": 0.1 * float64(i)})
		archivetest.Run{Seed: 1, Result: map[string]any{"scenario": "<script>", "queue": hostile[:8]}, Keys: map[string]string{"slow": []string{"0", "0.1"}[i]}}.Write(t, filepath.Join(dir, "x"))
	}
	c, err := compare.Folders(t.Context(), dirs[0], dirs[1], compare.How{Anyway: true})
	if err != nil {
		t.Fatal(err)
	}
	p := Comparison(c, "leasestorm compare "+hostile)
	rows, marks := 0, map[string]int{}
	for _, s := range p.Sections {
		for _, row := range s.Tables[0].Rows {
			if len(row) != len(s.Tables[0].Columns) {
				t.Errorf("%d entries in %d columns", len(row), len(s.Tables[0].Columns))
			}
			rows++
			marks[row[5].Text]++
		}
	}
	if rows != len(c.Rows) || len(p.Sections) != 2 || marks["worse"] != 4 || marks["better"] != 0 || marks["="] == 0 || marks["~"] == 0 {
		t.Errorf("%d of %d rows, %d sections, marks %v", rows, len(c.Rows), len(p.Sections), marks)
	}
	var b bytes.Buffer
	if err := p.Write(&b); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	for _, want := range []string{"4 of ", "differences are real: 0 better in B, 4 worse.", "Unlike, and compared all the same: scenario &lt;script&gt;: slow = 0; 0.1", "&lt;script&gt;alert(1)", "Content-Security-Policy"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page has no %q", want)
		}
	}
	if strings.Contains(text, hostile) {
		t.Error("the name runs")
	}
}
