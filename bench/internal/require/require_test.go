package require

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParse(t *testing.T) {
	all, err := Parse("queue=slack:theta=0.3,guard=0 broken=100: verdict==recovered, ttr<8s, wasted work < 5%\nfrom 2τ to 4s after the return: establish goodput ≥ 60 %; p50(ttr) <= 2tau, share(ttr<500ms) >= 0.9, share(recovered)==100%")
	if err != nil || len(all) != 3 {
		t.Fatalf("%d, %v", len(all), err)
	}
	a, b, c := all[0], all[1], all[2]
	if len(a.Select) != 2 || a.Select[0] != [2]string{"queue", "slack:theta=0.3,guard=0"} || len(a.Conds) != 3 || a.Conds[0].Verdict != "recovered" || a.Conds[1].Value != 8 || a.Conds[2].Value != 0.05 || a.Conds[2].Measure.Name != "wasted_work" {
		t.Errorf("%+v", a)
	}
	if b.Select != nil || b.Window.From != (Time{2, "τ"}) || b.Window.To != (Time{4, "s"}) || b.Conds[0].Value != 0.6 || b.Conds[0].Op != ">=" || b.Conds[0].Unit != "%" || b.Window.From.Seconds(0.5) != 1 {
		t.Errorf("%+v, %+v", b, b.Window)
	}
	if c.Conds[0].Over != "p50" || c.Conds[0].Unit != "τ" || c.Conds[1].Inner.Value != 0.5 || c.Conds[1].Value != 0.9 || c.Conds[2].Inner.Verdict != "recovered" || c.Conds[2].Value != 1 {
		t.Errorf("%+v", c)
	}
}

// An error names the place.
func TestParseErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                                    "column 1: there is no requirement",
		"ttr":                                 "column 4: \"ttr\": want a comparison",
		"ttr<8":                               "column 5: \"8\": want a time with its unit",
		"ttr=8s":                              "column 4: = compares nothing: write ==",
		"ttrr<8s":                             "column 1: \"ttrr\" is no measure: there are collapsed, lost, ttr,",
		"ttr<8s, ":                            "column 9: a condition is missing",
		"queue=fifo: ttr<8s,, wasted_work<5%": "column 20: a condition is missing",
		"queue=fifo: wasted_work<5":           "column 25: \"5\" is more than all",
		"kueue=fifo: ttr<8s":                  "column 1: \"kueue\" is no key of a contestant",
		"deadline: ttr<8s":                    "column 1: \"deadline\": want a contestant as in queue=deadline",
		"verdict==fine":                       "column 10: \"fine\" is no verdict",
		"verdict<recovered":                   "column 1: a verdict is compared with",
		"p50(verdict)==recovered":             "column 5: a verdict is no number",
		"median(ttr)<8s":                      "column 1: \"median\": there are p50",
		"from 2 after the return: active>5":   "column 6: \"2\": want a time with its unit",
		"from 2τ to 1τ after the return: active>5": "column 12: the window ends before it begins",
		"from 2τ: active>5":                        "column 1: \"from 2τ\": want a time window",
		"in the steady state: ttr<8s":              "column 22: \"ttr\" is no measure: there are establish_goodput",
		"in the steady state: share(healthy)>0.5":  "column 28: a verdict is one of the whole run",
		"tt\x1b[2Jr<8s":                            "column 1: \"tt\ufffd[2Jr\" is no measure",
		"ttr<8s\nττ ttr<8":                         "line 2, column 1: \"ττ ttr\" is no measure",
		"share(p50(ttr)<8s)>0.5":                   "column 7: \"p50(ttr)\": a function stands outside only",
	} {
		_, err := Parse(text)
		if e := (*Error)(nil); !errors.As(err, &e) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// Whatever is read, the place is in the text.
func TestParseAnything(t *testing.T) {
	words := rapid.SampledFrom([]string{"queue=", "fifo", ": ", "ttr", "<", "8s", ",", " ", "share(", ")", "from 2τ after the return", ";", "\n", "τ", "%", "p50(", ">=", "0.5", "verdict", "==", "recovered"})
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(words, 0, 12).Draw(t, "words"), "")
		all, err := Parse(text)
		if e := (*Error)(nil); errors.As(err, &e) {
			if n := len([]rune(e.Line)); e.Column < 1 || e.Column > n+1 || !strings.Contains(text, e.Line) {
				t.Fatalf("%q: column %d of %q", text, e.Column, e.Line)
			}
		} else if err != nil || len(all) == 0 {
			t.Fatalf("%q: %d, %v", text, len(all), err)
		}
	})
}
