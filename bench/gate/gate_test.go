package gate

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leasestorm/leasestorm/bench/internal/archivetest"
)

// series is 6 s in steps of 0.5 s: establishes at a rate of 400/s from the return at 2 s to 4 s, and a
// queue that shrinks by 100 a step from 500.
func series() string {
	var b strings.Builder
	b.WriteString("t_s,phase,active,queued,good_check,good_establish,sojourn_p99_s,wasted_work,busy\n")
	for i := 1; i <= 12; i++ {
		good, queued, active, p99 := 0, 0, 1000, ""
		if t := float64(i) / 2; t > 2 && t <= 4 {
			good, queued, active, p99 = 200, 500-100*(i-5), 900, "0.25"
		}
		fmt.Fprintf(&b, "%.1f,x,%d,%d,100,%d,%s,0.1,0.5\n", float64(i)/2, active, queued, good, p99)
	}
	return b.String()
}

// folder writes three runs of deadline, of TTR 2, 3 and 4 s, and one of fifo that collapsed.
func folder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for i := range 3 {
		archivetest.Run{Seed: uint64(i + 1), Result: map[string]any{"ttr_s": 2 + i}, Series: series()}.Write(t, filepath.Join(dir, fmt.Sprintf("deadline-s%d", i+1)))
	}
	archivetest.Run{Seed: 9, Result: map[string]any{"queue": "fifo", "verdict": "collapsed", "ttr_s": nil, "efficiency": nil}, Series: series()}.Write(t, filepath.Join(dir, "fifo-s9"))
	return dir
}

func TestRequirements(t *testing.T) {
	dir := folder(t)
	for text, want := range map[string]string{ // "" holds
		"queue=deadline: verdict==recovered, ttr<=4s, wasted_work<5%": "",
		"queue=deadline: ttr<4s":                      "seed 3: 4 s",
		"queue=deadline: ttr<=4τ":                     "",
		"queue=deadline: p50(ttr)<=3s, max(ttr)==4s":  "",
		"queue=deadline: p50(ttr)<3s":                 "3 s of 3 runs",
		"queue=deadline: mean(ttr)==3s, min(ttr)<=2s": "",
		"queue=deadline: share(ttr<=3s)>=66%":         "",
		"queue=deadline: share(ttr<=3s)>=0.67":        "2 of 3 runs",
		"queue=fifo: ttr<1000h":                       "seed 9: never",
		"queue=fifo: ttr<1000min":                     "seed 9: never",
		"queue=fifo: efficiency>1%":                   "seed 9: it has no efficiency",
		"queue=fifo: verdict!=collapsed":              "seed 9: collapsed",
		"share(recovered)>=0.9":                       "0 of 1 runs", // fifo's
		"queue=deadline: from 0s to 2s after the return: establish goodput >= 80%, establish goodput == 400/s": "",
		"queue=deadline: from 0s to 4s after the return: establish goodput >= 60%":                             "seed 1: 40 %",
		"queue=deadline: from 0s to 4s after the return: check goodput == 10%, wasted work <= 10.01%":          "",
		"queue=deadline: from 0s to 2s after the return: queued<=500, active>=900, sojourn_p99<=250ms":         "",
		"queue=deadline: from 0s to 2s after the return: queued<500":                                           "seed 1: 500",
		"queue=deadline: from 0s to 2s after the return: queued>=200, max(queued)>=200":                        "",
		"queue=deadline: from 3s after the return: queued==0":                                                  "", // two are back
		"queue=deadline: from 9s to 10s after the return: queued==0":                                           "seed 1: no step of the run lies in the window: the run ends 6 s after its start",
		"queue=fifo: from 2τ after the return: establish goodput>1/s":                                          "seed 9: 0 /s",
		"in the steady state: active==1000":                                                                    "",
		"in the steady state: sojourn_p99<1s":                                                                  "seed 1: nothing was recorded in the window",
	} {
		r, err := Folder(t.Context(), dir, []string{text})
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got := ""
		if failed := r.Failed(); len(failed) > 0 {
			got = failed[0].Got
		}
		if got != want {
			t.Errorf("%s: %q, want %q\n%s", text, got, want, r.Text())
		}
	}
}

func TestRequirementOfNobody(t *testing.T) {
	dir := folder(t)
	for text, want := range map[string]error{"queue=lifo: ttr<8s": ErrNoMatch, "ttr<8": ErrRequirement, "broken=7: ttr<8s": ErrNoMatch} {
		if _, err := Folder(t.Context(), dir, []string{text}); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", text, err, want)
		}
	}
	if _, err := Folder(t.Context(), dir, nil); !errors.Is(err, ErrNoMatch) {
		t.Errorf("nothing is required: %v", err)
	}
	if _, err := Folder(t.Context(), t.TempDir(), []string{"ttr<8s"}); err == nil || errors.Is(err, ErrNoMatch) {
		t.Errorf("an empty folder: %v", err)
	}
}

// A scenario's own requirement holds for its runs. One that does not parse is named with its place.
func TestScenarioRequires(t *testing.T) {
	for own, want := range map[string]string{
		`"ttr<8s"`: "ok", `"ttr<1s"`: "FAILED", `"queue=deadline: ttr<8s\nfrom 0s after the return: queued<1"`: "FAILED", `"ttr<"`: "column 5", `"queue=fifo: ttr<8s"`: "no contestant matches",
	} {
		dir := t.TempDir()
		archivetest.Run{Seed: 1, Keys: map[string]string{"require": own}, Series: series()}.Write(t, filepath.Join(dir, "a"))
		archivetest.Run{Seed: 2, Result: map[string]any{"scenario": "another", "ttr_s": 100}}.Write(t, filepath.Join(dir, "b"))
		r, err := Folder(t.Context(), dir, nil)
		got := fmt.Sprint(err)
		if err == nil {
			got = r.Text()
		}
		if !strings.Contains(got, want) || strings.Contains(got, "another ") {
			t.Errorf("%s: %s", own, got)
		}
	}
}

// Invalid runs do not count, and are named; a run that was made again until it was valid is not.
func TestInvalidRuns(t *testing.T) {
	dir := folder(t)
	bad := map[string]any{"valid": false, "verdict": "invalid", "ttr_s": 100, "invalid_because": "the host"}
	archivetest.Run{Seed: 1, Result: bad}.Write(t, filepath.Join(dir, "deadline-s4"))
	archivetest.Run{Seed: 1, Result: bad}.Write(t, filepath.Join(dir, "deadline-s5"))
	archivetest.Run{Seed: 1}.Write(t, filepath.Join(dir, "deadline-s5-try2"))
	r, err := Folder(t.Context(), dir, []string{"queue=deadline: ttr<8s, wasted_work<50%"})
	if err != nil || len(r.Failed()) > 0 || len(r.Invalid) != 1 || !strings.HasSuffix(r.Invalid[0], "deadline-s4: the host") || r.Checks[0].Runs != 4 {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err = Folder(t.Context(), dir, []string{"queue=fifo: verdict==collapsed"}); err != nil || len(r.Invalid) != 0 {
		t.Errorf("of another contestant: %+v, %v", r, err)
	}
}

// A damaged run is named, and a window of a run without its series is an error.
func TestDamagedRuns(t *testing.T) {
	dir := folder(t)
	if err := os.WriteFile(filepath.Join(dir, "deadline-s1", "manifest.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "deadline-s2", "series.csv")); err != nil {
		t.Fatal(err)
	}
	r, err := Folder(t.Context(), dir, []string{"queue=deadline: ttr<8s"})
	if err != nil || len(r.Problems) != 1 || r.Checks[0].Runs != 2 {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := Folder(t.Context(), dir, []string{"queue=deadline: from 0s after the return: queued<1000"}); err == nil || !strings.Contains(err.Error(), "no whole series.csv") {
		t.Error(err)
	}
}
