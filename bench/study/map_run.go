package study

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/internal/files"
	"github.com/leasestorm/leasestorm/bench/record"
)

// coarse is the distance of the points that are run in any case.
const coarse = 4

// RunMap runs what is missing of a map's folder, at a place, and writes the whole.
// Whatever ends it, a point that was run is kept.
func RunMap(ctx context.Context, dir string, at Place, progress func(done, of int)) (_ *MapResult, err error) {
	var g Map
	path := filepath.Join(dir, mapLayout)
	if err := ReadLayout(path, "map", &g, &g.Schema); err != nil {
		return nil, err
	}
	if err := g.validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	held, err := lock(dir)
	if err != nil {
		return nil, err
	}
	defer held.Release()
	runner, err := bench.RunnerOf(cmp.Or(g.Engine, bench.Virtual{}.Name()))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	runner, end, err := at.Open(dir, runner)
	if err != nil {
		return nil, err
	}
	defer func() { err = end(err) }()
	remembering, err := Remember(runner, "", g.Redo)
	if err != nil {
		return nil, err
	}
	many, _ := atOnce(runner, g.base())
	r := &mapRun{Map: g, runner: remembering, progress: progress, at: many, done: map[place]MapPoint{}, aside: map[place]bool{}}
	points := filepath.Join(dir, pointsFile)
	if r.journal, err = openJournal(points, func(n int, row []byte) error { return r.take(points, n, row) }); err != nil {
		return nil, err
	}
	defer func() {
		if err = errors.Join(err, r.journal.close()); err == nil {
			err = r.order(points)
		}
	}()
	var aside error
	for step := coarse; step >= 1; step /= 2 {
		if g.All {
			step = 1
		}
		err := r.run(ctx, r.wanted(step))
		if err != nil && (!errors.Is(err, ErrSetAside) || ctx.Err() != nil) {
			return nil, errors.Join(aside, err)
		}
		aside = errors.Join(aside, err) // the finer steps do without these points
	}
	if aside != nil {
		return nil, aside
	}
	out := &MapResult{Map: g, Points: r.whole(), Marks: g.marks(), Title: g.title(), Fluid: g.fluid()}
	return out, record.WriteFile(filepath.Join(dir, record.MapFile), record.JSON(out))
}

type place struct{ contestant, x, y int }

// mapRun is a map on its way.
type mapRun struct {
	Map
	runner   bench.Runner
	mu       sync.Mutex
	done     map[place]MapPoint // guarded by mu while run runs
	aside    map[place]bool     // points with a run that was set aside; guarded as done
	journal  *journal
	progress func(done, of int)
	ran      int // of the points of this distance
	at       int // runs at a time
}

// take keeps a point that there is.
func (r *mapRun) take(path string, n int, row []byte) error {
	var p MapPoint
	if err := json.Unmarshal(row, &p); err != nil || p.Contestant < 0 || p.Contestant >= len(r.Contestants) || p.X < 0 || p.X >= r.X.N || p.Y < 0 || p.Y >= r.Y.N {
		return fmt.Errorf("%s:%d: not a point of this map: move the file away, and its points are run again", path, n)
	}
	r.done[place{p.Contestant, p.X, p.Y}] = p
	return nil
}

// lattice are the indexes of an axis at that distance, its end included.
func lattice(n, step int) (all []int) {
	for i := 0; i < n-1; i += step {
		all = append(all, i)
	}
	return append(all, n-1)
}

// wanted are the points to run at this distance: at the coarsest all, then those of a cell,
// or of one beside it, whose corners at twice the distance do not agree.
func (r *mapRun) wanted(step int) (list []place) {
	var want []bool // by place, for one contestant
	for c := range r.Contestants {
		want = make([]bool, r.X.N*r.Y.N)
		xs, ys := lattice(r.X.N, step), lattice(r.Y.N, step)
		if step == coarse || r.All {
			for _, x := range xs {
				for _, y := range ys {
					want[y*r.X.N+x] = true
				}
			}
		} else {
			r.refine(c, 2*step, func(x0, x1, y0, y1 int) {
				for _, x := range xs {
					for _, y := range ys {
						if x >= x0 && x <= x1 && y >= y0 && y <= y1 {
							want[y*r.X.N+x] = true
						}
					}
				}
			})
		}
		for i, w := range want {
			p := place{c, i % r.X.N, i / r.X.N}
			if _, have := r.done[p]; w && !have && !r.aside[p] {
				list = append(list, p)
			}
		}
	}
	return list
}

// refine calls visit for the cells at that distance around which not all is safe, or all
// lost.
func (r *mapRun) refine(c, step int, visit func(x0, x1, y0, y1 int)) {
	xs, ys := lattice(r.X.N, step), lattice(r.Y.N, step)
	for i := 1; i < len(xs); i++ {
		for j := 1; j < len(ys); j++ {
			low, high := 2.0, -1.0
			// The cells beside it count as well: a border that grazes a corner is seen.
			for _, x := range xs[max(0, i-2):min(len(xs), i+2)] {
				for _, y := range ys[max(0, j-2):min(len(ys), j+2)] {
					p, have := r.done[place{c, x, y}]
					if !have {
						continue // it is in a part where all agree
					}
					v := p.P()
					if p.Runs == 0 {
						v = 3 // impossible: a border as well
					}
					low, high = min(low, v), max(high, v)
				}
			}
			if low != high || low > 0 && low < 1 {
				visit(xs[i-1], xs[i], ys[j-1], ys[j])
			}
		}
	}
}

// run runs the points.
func (r *mapRun) run(ctx context.Context, list []place) error {
	r.ran = 0
	return each(ctx, r.runner, r.at, len(list), r.Seeds, func(ctx context.Context, i int) error {
		at := list[i]
		p, err := r.point(ctx, r.runner, MapPoint{Contestant: at.contestant, X: at.x, Y: at.y})
		if err != nil {
			if errors.Is(err, ErrSetAside) {
				r.mu.Lock()
				r.aside[at] = true
				r.mu.Unlock()
			}
			return err
		}
		return r.keep(at, p, len(list))
	})
}

// keep appends a point to the file.
func (r *mapRun) keep(at place, p MapPoint, of int) error {
	// What was not run costs nothing to find again.
	if err := r.journal.append(p, p.Runs > 0); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done[at] = p
	if r.progress != nil {
		r.ran++
		r.progress(r.ran, of)
	}
	return nil
}

// order writes the points of a finished map in the order of the map, in place of that in which they came:
// the file is the same however many runs were made at a time.
func (r *mapRun) order(path string) error {
	return files.Write(path, func(w io.Writer) error {
		lines := json.NewEncoder(w)
		for c := range r.Contestants {
			for y := range r.Y.N {
				for x := range r.X.N {
					if p, have := r.done[place{c, x, y}]; have {
						if err := lines.Encode(p); err != nil {
							return err
						}
					}
				}
			}
		}
		return nil
	})
}

// whole is every point; one that was not run is as its nearest neighbours, which agree.
func (r *mapRun) whole() []MapPoint {
	all := make([]MapPoint, 0, len(r.Contestants)*r.X.N*r.Y.N)
	for c := range r.Contestants {
		for y := range r.Y.N {
			for x := range r.X.N {
				p, have := r.done[place{c, x, y}]
				if !have {
					p = r.nearest(c, x, y)
					p.X, p.Y, p.Inferred = x, y, true
					if s, err := r.scenario(c, x, y); err == nil {
						p.Beta, p.Law = r.law(&s)
					}
				}
				all = append(all, p)
			}
		}
	}
	return all
}

func (r *mapRun) nearest(c, x, y int) MapPoint {
	for d := 1; ; d++ {
		for i := -d; i <= d; i++ {
			for _, at := range []place{{c, x + i, y - d}, {c, x + i, y + d}, {c, x - d, y + i}, {c, x + d, y + i}} {
				if p, have := r.done[at]; have {
					return p
				}
			}
		}
	}
}
