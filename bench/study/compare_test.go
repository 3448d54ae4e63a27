package study

import (
	"bytes"
	"strings"
	"testing"

	"github.com/leasestorm/leasestorm/bench"
)

// ranked makes a result.
func ranked(queue, then string, v bench.Verdict, ttr float64) *bench.Result {
	r := &bench.Result{Queue: queue, Admit: "none", Retry: "immediate", Then: then, Verdict: v, Valid: v != bench.Invalid, Goodput: map[string]float64{"establish": 10}}
	if v == bench.Recovered {
		r.TTR, r.Rescue = &ttr, &ttr
	}
	return r
}

func TestCompare(t *testing.T) {
	rows := Compare([]*bench.Result{
		ranked("fifo", "", bench.Collapsed, 0), ranked("lifo", "", bench.Recovered, 3.5), ranked("slack", "", bench.Recovered, 2), ranked("fifo", "", bench.Recovered, 1),
		ranked("lifo", "", bench.Invalid, 0), ranked("slack", "", bench.Recovered, 4), ranked("codel", "", bench.Collapsed, 0), ranked("pie", "", bench.Degraded, 0),
	})
	var order []string
	for _, r := range rows {
		order = append(order, r.Queue)
	}
	// By collapse probability, then by how many came back, then by TTR.
	if got := strings.Join(order, " "); got != "slack lifo pie fifo codel" {
		t.Errorf("ranked %s", got)
	}
	if s := rows[0]; s.TTR.Median != 3 || s.TTR.Min != 2 || s.TTR.Max != 4 || s.Collapse.N != 2 {
		t.Errorf("%+v", s)
	}
	if l := rows[1]; l.Collapse.N != 1 || l.Verdicts[bench.Invalid] != 1 {
		t.Errorf("an invalid run counts: %+v", l)
	}
	if md := CompareText(rows, true); strings.Count(md, "\n|") != 6 || !strings.Contains(md, "| 1= | slack | none | immediate | 2 | recovered 2 of 2 | 3.00 (2.00–4.00) |") {
		t.Error(md)
	}
	var b bytes.Buffer
	if err := WriteCompareCSV(&b, rows); err != nil || strings.Count(b.String(), "\n") != 6 {
		t.Errorf("%v\n%s", err, b.String())
	}
}

func TestRemedyText(t *testing.T) {
	rows := Compare([]*bench.Result{ranked("lifo", "", bench.Recovered, 3), ranked("fifo", "queue=lifo", bench.Recovered, 4), ranked("fifo", "retry=backoff", bench.Collapsed, 0)})
	text := RemedyText(rows, true)
	for _, want := range []string{"| queue=lifo | recovered | 3.00 | recovered | 4.00 |", "| retry=backoff | – | – | collapsed | – |"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

// Every contestant of every suite is a scenario that can be.
func TestSuitesAreValid(t *testing.T) {
	base := surgeStudy(t)
	all := Suites()
	for name, contestants := range map[string][]string{"rank": RankContestants, "all": FullGrid(), "fairness": FairnessContestants, "remedy": RemedyContestants(&base)} {
		suite, err := ranking(name, base, contestants, nil)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, suite)
	}
	for _, suite := range all {
		seen := map[string]bool{}
		m := suite.plan(How{Seed: 1})
		for _, c := range m.Cells {
			s, err := m.scenario(c)
			if err == nil { // and its parts can be made
				err = bench.Check(s)
			}
			if err != nil {
				t.Errorf("%s, %s: %v", suite.Name, c.Folder, err)
			}
			if seen[c.Folder] {
				t.Errorf("%s has two cells in %s", suite.Name, c.Folder)
			}
			seen[c.Folder] = true
		}
	}
}
