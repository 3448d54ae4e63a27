package study

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/internal/files"
	"github.com/leasestorm/leasestorm/bench/record"
	"github.com/leasestorm/leasestorm/bench/scenario"
)

// Bars shows how far a suite is. Its methods may be called by several goroutines.
type Bars interface {
	// Cell begins the i-th cell of n, which takes about that long; all cells after it take about
	// rest. see watches its run; nil: nobody does. done ends it with its result in a few words.
	Cell(i, n int, name string, estimate, rest time.Duration) (see bench.Live, done func(text string))
	// Note shows a line.
	Note(text string)
}

// Runs are what a suite comes to.
type Runs struct {
	Results []*bench.Result // in the order of the manifest
	Refused []Cell
}

// suiteRun is a suite on its way.
type suiteRun struct {
	SuiteManifest
	dir       string
	runner    bench.Runner
	bars      Bars
	pace      pace
	scenarios []scenario.Scenario // by cell
	mu        sync.Mutex
	tries     [][]*bench.Result // by cell, in the order in which they were made
	wait      time.Duration     // of the next run, for a quiet host
}

// RunSuite runs the cells of a suite's folder that are not finished, at a place. Then it runs those that the
// host spoilt again, as often as the manifest says and for half as long as all of it took at most.
// Whatever ends it, a finished cell stays whole.
func RunSuite(ctx context.Context, dir string, at Place, bars Bars) (_ Runs, err error) {
	m, err := readSuite(dir)
	if err != nil {
		return Runs{}, err
	}
	held, err := lock(dir)
	if err != nil {
		return Runs{}, err
	}
	defer held.Release()
	if err := m.clean(ctx, dir); err != nil {
		return Runs{}, err
	}
	runner, err := bench.RunnerOf(cmp.Or(m.Engine, "real"))
	if err != nil {
		return Runs{}, fmt.Errorf("%s: %w", filepath.Join(dir, suiteFile), err)
	}
	runner, end, err := at.Open(dir, runner)
	if err != nil {
		return Runs{}, err
	}
	defer func() { err = end(err) }()
	r := &suiteRun{
		SuiteManifest: m, dir: dir, runner: runner, bars: bars, pace: pace{runner: runner}, wait: m.wait(),
		scenarios: make([]scenario.Scenario, len(m.Cells)), tries: make([][]*bench.Result, len(m.Cells)),
	}
	var left []int
	largest := scenario.Scenario{}
	for i, c := range m.Cells {
		if c.Refused != "" {
			continue
		}
		for try := range m.Redo + 1 {
			done, err := r.read(ctx, i, try)
			if err != nil {
				return r.runs(), err
			}
			if done == nil {
				break
			}
			r.tries[i] = append(r.tries[i], done)
		}
		if r.scenarios[i], err = m.scenario(c); err != nil {
			return r.runs(), fmt.Errorf("cell %s: %w", c.Folder, err)
		}
		if r.scenarios[i].Leases > largest.Leases {
			largest = r.scenarios[i]
		}
		if len(r.tries[i]) == 0 {
			left = append(left, i)
		}
	}
	began := time.Now()
	many, bytes := atOnce(runner, largest)
	if many = min(many, max(1, len(left))); many > 1 && wide(runner) == nil {
		bars.Note(fmt.Sprintf("%d runs at a time, one per processor as far as memory goes: about %.0f MB each", many, max(1, float64(bytes)/1e6)))
	}
	if err := r.run(ctx, left, many); err != nil {
		return r.runs(), err
	}
	most := max(time.Minute, time.Since(began)) / 2
	for try := 1; try <= m.Redo; try++ {
		spoilt := r.spoilt(try)
		if len(spoilt) == 0 {
			break
		}
		if time.Since(began) > 3*most {
			bars.Note(fmt.Sprintf("%d runs stay invalid: to make them again has taken half of the suite's time; --resume %s goes on", len(spoilt), dir))
			break
		}
		bars.Note(fmt.Sprintf("%d runs were invalid and are made again, try %d of %d", len(spoilt), try+1, m.Redo+1))
		if err := r.run(ctx, spoilt, many); err != nil {
			return r.runs(), err
		}
	}
	return r.runs(), nil
}

// folder is that of a cell's try, from 0.
func (r *suiteRun) folder(i, try int) string {
	return tryFolder(filepath.Join(r.dir, r.Cells[i].Folder), try)
}

// read is a finished try of a cell, or nil if there is none.
func (r *suiteRun) read(ctx context.Context, i, try int) (*bench.Result, error) {
	folder := r.folder(i, try)
	done, err := bench.ReadManifest(ctx, folder)
	if err == nil {
		return done.Result, nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	name := filepath.Base(folder)
	if _, none := os.Lstat(filepath.Join(folder, "manifest.json")); !errors.Is(none, fs.ErrNotExist) {
		return nil, fmt.Errorf("cell %s: %w; move it away and resume to run it again", name, err)
	}
	if _, err := os.Lstat(folder); err == nil {
		return nil, fmt.Errorf("cell %s: the folder has no manifest.json, so it is not ours; move it away and resume", name)
	}
	return nil, nil //nolint:nilnil // that it is still to be run is no error
}

// spoilt are the cells with so many tries of which none is valid.
func (r *suiteRun) spoilt(tries int) (all []int) {
	for i, t := range r.tries {
		if len(t) == tries && !slices.ContainsFunc(t, func(res *bench.Result) bool { return res.Valid }) {
			all = append(all, i)
		}
	}
	return all
}

// run makes a try of each of these cells.
func (r *suiteRun) run(ctx context.Context, cells []int, at int) error {
	return each(ctx, r.runner, at, len(cells), 1, func(ctx context.Context, k int) error {
		i := cells[k]
		c, s := r.Cells[i], r.scenarios[i]
		var later []scenario.Scenario
		for _, j := range cells[k+1:] {
			later = append(later, r.scenarios[j])
		}
		see, end := r.bars.Cell(k, len(cells), c.Folder, r.pace.estimate(s), r.pace.estimate(later...)/time.Duration(at))
		o := r.options(c.Seed)
		o.Waiting, o.Live = r.bars.Note, see
		r.mu.Lock()
		o.Folder, o.Wait = r.folder(i, len(r.tries[i])), r.wait
		r.mu.Unlock()
		began := time.Now()
		res, err := r.runner.Run(ctx, s, o)
		if scenario.Refused(err) { // the host's numbers made it so
			end("refused: " + err.Error())
			r.mu.Lock()
			defer r.mu.Unlock()
			r.Cells[i].Refused = err.Error()
			return record.WriteFile(filepath.Join(r.dir, suiteFile), record.JSON(r.SuiteManifest))
		}
		if err != nil {
			end("not finished: " + err.Error())
			return fmt.Errorf("cell %s: %w", c.Folder, err)
		}
		r.pace.done(s, time.Since(began))
		end(res.Brief())
		r.mu.Lock()
		defer r.mu.Unlock()
		r.wait = r.nextWait(res)
		r.tries[i] = append(r.tries[i], everywhere(r.runner, res))
		return nil
	})
}

// shortestWait is what a suite's waits for a quiet host shrink to on one that never is.
const shortestWait = 2 * time.Second

// nextWait is how long the run after this one waits: half as long, if it was in vain this time.
func (r *suiteRun) nextWait(res *bench.Result) time.Duration {
	whole := r.Method.wait()
	if q := res.Quiet; q != nil && q.Judged && !q.Quiet {
		return min(whole, max(shortestWait, r.wait/2))
	}
	return whole
}

// runs are the results that there are: of each cell the first valid try, or else the last.
func (r *suiteRun) runs() (out Runs) {
	for i, c := range r.Cells {
		if c.Refused != "" {
			out.Refused = append(out.Refused, c)
		}
		if len(r.tries[i]) > 0 {
			out.Results = append(out.Results, settle(r.tries[i]))
		}
	}
	return out
}

// clean takes up what a process that was killed has left: a cell that was written whole is
// put in its place, and what is half written is removed. The folder is locked.
func (m *SuiteManifest) clean(ctx context.Context, dir string) error {
	left, err := files.Left(dir)
	if err != nil {
		return err
	}
	cells := map[string]bool{}
	for _, c := range m.Cells {
		cells[c.Folder] = true
	}
	for _, name := range left {
		path := filepath.Join(dir, name)
		if cell := files.Final(name); cells[cell] {
			folder := filepath.Join(dir, cell)
			if _, err := os.Lstat(folder); errors.Is(err, fs.ErrNotExist) {
				if _, err := bench.ReadManifest(ctx, path); err == nil {
					if err := files.Disk.Rename(path, folder); err != nil {
						return err
					}
					continue
				}
			}
		}
		if err := ctx.Err(); err != nil {
			return err // it may be whole
		}
		if err := files.Disk.RemoveAll(path); err != nil {
			return err
		}
	}
	return nil
}

// Invalid is how many results do not count: the host spoilt all their tries.
func (r Runs) Invalid() (n int) {
	for _, res := range r.Results {
		if !res.Valid {
			n++
		}
	}
	return n
}

// RefusedText says in a line for each reason how many cells were refused.
func (r Runs) RefusedText() string { return refusals(r.Refused) }
