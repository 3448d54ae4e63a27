package archive

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/leasestorm/leasestorm/bench/internal/files"
	"github.com/leasestorm/leasestorm/bench/internal/measure"
)

// Measure is a figure of a run.
type Measure struct {
	measure.Measure
	// Of returns the figure of a run; nil: the run has none.
	Of func(r *Result) *float64
}

func always(x float64) *float64 { return &x }

func oneIf(holds bool) *float64 {
	if holds {
		return always(1)
	}
	return always(0)
}

// Measures are the figures by which runs are compared, in the order in which they are shown.
var Measures = func() (all []Measure) {
	of := map[string]func(r *Result) *float64{
		"collapsed":          func(r *Result) *float64 { return oneIf(r.Verdict == "collapsed") },
		"lost":               func(r *Result) *float64 { return oneIf(r.Lost()) },
		"ttr":                func(r *Result) *float64 { return r.TTR },
		"ttr_after_operator": func(r *Result) *float64 { return r.Rescue },
		"efficiency":         func(r *Result) *float64 { return r.Efficiency },
		"goodput":            func(r *Result) *float64 { return always(r.Goodput["establish"]) },
		"wasted_work":        func(r *Result) *float64 { return r.WastedWork },
		"time_to_lease_p50":  func(r *Result) *float64 { return r.TimeToLease.P50 },
		"time_to_lease_p99":  func(r *Result) *float64 { return r.TimeToLease.P99 },
		"launches_ok":        func(r *Result) *float64 { return r.LaunchesOK },
		"fairness":           func(r *Result) *float64 { return r.Fairness },
		"shed":               func(r *Result) *float64 { return always(float64(r.Shed)) },
		"healthy_lost":       func(r *Result) *float64 { return always(float64(r.HealthyLost)) },
		"active_min":         func(r *Result) *float64 { return always(float64(r.ActiveMin)) },
		"slip_p999": func(r *Result) *float64 {
			if r.Slip.P999 == nil {
				return nil
			}
			return always(*r.Slip.P999 / 1e3)
		},
	}
	for _, m := range measure.Runs {
		all = append(all, Measure{m, of[m.Name]})
	}
	return all
}()

// FindMeasure returns the measure of that name.
func FindMeasure(name string) (Measure, bool) {
	for _, m := range Measures {
		if m.Name == name {
			return m, true
		}
	}
	return Measure{}, false
}

// OnHost says whether the run took place on a host, in real time.
func (r *Result) OnHost() bool { return r.Engine == "real" || r.Engine == "target" }

// Lost says whether the run did not come back.
func (r *Result) Lost() bool { return r.Verdict == "collapsed" || r.Verdict == "degraded" }

// Name is the contestant's name by its parts that are not the plain ones, as in deadline, or fifo +
// token-bucket + backoff.
func (r *Result) Name() string {
	words := []string{r.Queue}
	for _, p := range [][2]string{{r.Admit, Plain.Admit}, {r.Retry, Plain.Retry}, {r.Table, Plain.Table}} {
		if p[0] != p[1] && p[0] != "" { // a service that is not ours does not say
			words = append(words, p[0])
		}
	}
	if r.Then != "" {
		words = append(words, "then "+r.Then)
	}
	return strings.Join(words, " + ")
}

// try is the end of the folder's name of a further try of a run that the host spoilt.
var try = regexp.MustCompile(`-try\d+$`)

// Settle leaves one cell of the tries of each run: the first valid one, or else the last.
func Settle(cells []Cell) (out []Cell) {
	at := map[string]int{}
	for _, c := range cells {
		run := try.ReplaceAllString(c.Folder, "")
		i, again := at[run]
		switch {
		case !again:
			at[run] = len(out)
			out = append(out, c)
		case !out[i].Manifest.Result.Valid:
			out[i] = c
		}
	}
	return out
}

// Missing names the runs that the suite in dir is to have and has not, yet. Of a folder that is no
// suite's there are none.
func Missing(dir string) (runs []string, err error) {
	path := filepath.Join(dir, "suite.json")
	var suite struct {
		Cells []struct {
			Folder  string `json:"folder"`
			Refused string `json:"refused"`
		} `json:"cells"`
	}
	if _, err := ReadResult(path, "a suite", &suite); err != nil {
		return nil, err
	}
	for _, c := range suite.Cells {
		if c.Refused != "" {
			continue
		}
		if filepath.Base(c.Folder) != c.Folder {
			return nil, fmt.Errorf("%s: %q is not a cell's folder", path, c.Folder)
		}
		_, err := files.Read(filepath.Join(dir, c.Folder, "manifest.json"))
		if errors.Is(err, fs.ErrNotExist) {
			runs = append(runs, c.Folder)
		} else if err != nil {
			return nil, err
		}
	}
	return runs, nil
}
