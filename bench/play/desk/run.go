package desk

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/archive"
	"github.com/leasestorm/leasestorm/bench/internal/files"
	page "github.com/leasestorm/leasestorm/bench/report"
)

// Progress is how far a run is.
type Progress struct {
	Now     float64       `json:"now_s"` // run time
	End     float64       `json:"end_s"` // at the latest
	Active  int           `json:"active"`
	Leases  int           `json:"leases"`
	Queued  int           `json:"queued"`
	Verdict bench.Verdict `json:"verdict"` // if the run ended now
}

// progressEvery is the wall time between two Progresses.
const progressEvery = 50 * time.Millisecond

// run runs a contestant. Its files are those of sim, to the byte.
func (a *Ask) run(ctx context.Context, tell func(Progress)) (*bench.Result, error) {
	if a.Run < 0 || a.Run >= len(a.Contestants) {
		return nil, fmt.Errorf("%w: there is no contestant %d", ErrQuestion, a.Run)
	}
	s, err := a.Scenario(a.Contestants[a.Run])
	if err != nil {
		return nil, err
	}
	last := time.Now()
	return bench.Virtual{}.Run(ctx, s, bench.Options{
		Seed: a.Seed, MaxQueue: MaxQueue, Folder: a.Folder, Progress: io.Discard,
		Live: func(about bench.About) func(bench.Look) {
			return func(l bench.Look) {
				if l.News == nil || time.Since(last) < progressEvery {
					return
				}
				last = time.Now()
				tell(Progress{l.Now.Seconds(), about.End.Seconds(), l.News.Active, about.Leases, l.News.Queued, l.Verdict})
			}
		},
	})
}

// Shown is the report of several runs.
type Shown struct {
	*page.Page
	Lines map[string]string `json:"lines"` // the name that a run's folder has in figures
}

// report makes the page of the runs in a folder, and returns what stands on it. The page itself is
// written beside them.
func report(ctx context.Context, dir string) (s Shown, err error) {
	if s.Page, err = page.Build(ctx, dir); err != nil {
		return s, err
	}
	cells, _, err := archive.Salvage(ctx, dir)
	if err != nil {
		return s, err
	}
	s.Lines = map[string]string{}
	for _, c := range archive.Contestants(cells) {
		for _, cell := range c.Cells {
			s.Lines[filepath.Base(cell.Folder)] = c.Name
		}
	}
	return s, files.Write(filepath.Join(dir, page.File), s.Page.Write)
}
