package plot

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

func readRows(t *testing.T, text string) (rows []compareRow) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &rows); err != nil {
		t.Fatal(err)
	}
	return rows
}

// Contestants stand in families, each with its rank; a rank that several share has a sign, and they
// are one group. Files of before there were ranks have names alone.
func TestCompareFamilies(t *testing.T) {
	b := newBars(readRows(t, `[{"rank":1,"queue":"slack","admit":"none","retry":"immediate"}, {"rank":2,"queue":"fifo","admit":"limit","retry":"backoff"},
		{"rank":2,"queue":"lifo","admit":"none","retry":"immediate"}, {"rank":2,"queue":"edf","admit":"none","retry":"immediate"},
		{"queue":"fifo","admit":"none","retry":"backoff"}, {"rank":6,"queue":"fifo","admit":"none","retry":"immediate","then":"queue=lifo"}]`))
	var lines []string
	var ties []int
	for _, l := range b {
		lines, ties = append(lines, l.head+l.name), append(ties, l.tie)
	}
	if want := []string{"disciplines", "slack (1)", "lifo (2=)", "edf (2=)", "admission controllers", "fifo / limit / backoff (2=)", "retry policies", "fifo / backoff", "switched on after the collapse", "fifo → queue=lifo (6)"}; !slices.Equal(lines, want) {
		t.Errorf("lines %q\n want %q", lines, want)
	}
	if want := []int{0, 0, 2, 2, 0, 2, 0, 0, 0, 0}; !slices.Equal(ties, want) {
		t.Errorf("ties %v, want %v", ties, want)
	}
	names := b.names()
	if len(names) != 6 || names[0].Label != "slack (1)" || names[0].Value != 9 || names[5].Value != 1 {
		t.Errorf("names %+v", names)
	}
}

// Each bar has its n and its spread; one run has no spread, and says so, as does the title.
func TestCompareLabels(t *testing.T) {
	rows := readRows(t, `[{"n":3,"verdict":"recovered","efficiency":0.5,"ttr_s":{"median":2,"min":1,"max":3.5,"n":3},"collapse_probability":{"n":3},"runs":[{"leases":100000,"broken":1000,"beta":2.5}]},
		{"n":3,"verdict":"recovered","ttr_s":{"median":2,"min":1,"max":3,"n":2},"collapse_probability":{"p":0.3333,"n":3}},
		{"n":1,"verdict":"recovered","ttr_s":{"median":2,"min":2,"max":2,"n":1}},
		{"verdict":"recovered","ttr_s":{"median":2,"min":2,"max":2,"n":1},"collapse_probability":{"n":1}},
		{"n":4,"verdict":"collapsed","collapse_probability":{"p":1,"n":4}}, {"n":1,"verdict":"collapsed"}, {"n":0,"verdict":"invalid"},
		{"n":3,"verdict":"collapsed","ttr_s":{"median":2,"min":2,"max":2,"n":1},"collapse_probability":{"p":0.6667,"n":3}}]`)
	for i, want := range []string{
		"2.00 s (1.00–3.50), η 0.50, n = 3, 1 invalid", "2.00 s (1.00–3.00), came back 2 of n = 3, collapsed 1 of 3", "2.00 s, n = 1, no spread", "2.00 s, n = 1, no spread",
		"collapsed, n = 4", "collapsed, n = 1, no spread", "no valid run", "2.00 s, came back 1 of n = 3, collapsed 2 of 3",
	} {
		if got := rows[i].label(); got != want {
			t.Errorf("row %d: %q, want %q", i, got, want)
		}
	}
	if got := compareTitle(rows); !strings.Contains(got, "surge: 100,000 leases, 1,000 broken") || !strings.HasSuffix(got, "n = 0–4 (of one run there is no spread: not for publication)") {
		t.Errorf("title %q", got)
	}
	if got := compareTitle(rows[:2]); !strings.HasSuffix(got, "; n = 3") {
		t.Errorf("title %q", got)
	}
	legend := ""
	for _, m := range newBars(rows).marks() {
		legend += m.text + "; "
	}
	for _, want := range []string{"extremes", "one run", "did not come back", "no ranks"} {
		if !strings.Contains(legend, want) {
			t.Errorf("no %q in the legend: %s", want, legend)
		}
	}
}

// The longest label fits between its bar and the end of the axis.
func TestCompareLabelsFit(t *testing.T) {
	for _, name := range []string{"fifo", strings.Repeat("a-long-name-", 6)} {
		b := newBars(readRows(t, `[{"queue":"`+name+`","admit":"none","retry":"immediate","n":5,"verdict":"recovered","efficiency":0.1,"ttr_s":{"median":99,"min":98,"max":99.5,"n":3},"collapse_probability":{"p":0.4,"n":5}}]`))
		s := style(tickSize)
		room := float64(width - 2*margin - s.Width(name) - 20)
		if at := room*99.5/b.end() + 4 + float64(s.Width(b[1].row.label())); at > room && b.end() < 99.5*5 {
			t.Errorf("the label ends at %.0f of %.0f points", at, room)
		}
	}
}

// Where a run is invalid, the figure says so with the reason.
func TestCompareSpoilt(t *testing.T) {
	for text, want := range map[string]string{
		`{"n":0,"verdict":"invalid","runs":[{"valid":false,"invalid_because":"the generator could not keep its schedule: slip p99.9 2.5 ms"}]}`: "no valid run, 1 invalid: the generator could not keep its schedule",
		`{"n":1,"verdict":"collapsed","runs":[{"valid":true},{"valid":false,"invalid_because":"x; 2.3 s of CPU went to others"}]}`:              "collapsed, n = 1, no spread, 1 invalid: x",
		`{"n":1,"verdict":"collapsed","runs":[{"valid":true}]}`:                                                                                 "collapsed, n = 1, no spread",
	} {
		var r compareRow
		if err := json.Unmarshal([]byte(text), &r); err != nil || r.label() != want {
			t.Errorf("%v, %q; want %q", err, r.label(), want)
		}
	}
}

// What is written stays on the figure: a text too wide for its place is cut after a word.
func TestFitted(t *testing.T) {
	s := style(tickSize)
	const label = "collapsed, n = 1, no spread, 2 invalid: capacity drifted by +32 % against its calibration"
	if got := fitted(s, label, s.Width(label)); got != label {
		t.Errorf("%q was cut to %q, and has room", label, got)
	}
	room := s.Width(label) / 2
	got := fitted(s, label, room)
	head, cut := strings.CutSuffix(got, " …")
	if !cut || !strings.HasPrefix(label, head+" ") || s.Width(got) > room || s.Width(got) < room/2 {
		t.Errorf("%q, %.0f points wide, for a room of %.0f", got, float64(s.Width(got)), float64(room))
	}
}
