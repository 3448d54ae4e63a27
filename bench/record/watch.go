package record

import (
	"maps"
	"slices"
)

// News is what a log has merged since its watcher's last call.
type News struct {
	Tally          // the sum
	Sojourn, Slip  *Latency
	Rows           []*Row // the steps that changed, in the order of time
	Active, Queued int    // at the latest sample
}

// watcher gathers the news of a log. It belongs to the goroutine that collects.
type watcher struct {
	News
	do      func(*News)
	whole   int          // windows of a complete step
	changed map[int]*Row // by step
	newest  int          // step
	sampled int          // the latest step with a sample
}

// Watch lets do see what Collect and Finish merge, on the goroutine that calls these two: no
// recorder waits for do. It must be called before the run. What do receives is valid during the
// call. A step comes when all recorders have left it, and again if a recorder was late.
func (l *Log) Watch(do func(*News)) {
	l.watcher = &watcher{
		News: News{Sojourn: NewCoarse(), Slip: NewCoarse()}, do: do, whole: len(l.recorders), changed: map[int]*Row{}, sampled: -1,
	}
}

func (w *watcher) merge(in *window, row *Row) {
	if w == nil {
		return
	}
	w.Add(&in.Tally)
	w.Sojourn.Merge(in.sojourn)
	w.Slip.Merge(in.slip)
	w.newest = max(w.newest, row.Step)
	w.changed[row.Step] = row
	if in.sampled && row.Step >= w.sampled {
		w.sampled, w.Active, w.Queued = row.Step, in.active, in.queued
	}
}

// tell calls the watcher, if there is news. The steps that recorders are still in are held back, but
// not at the end.
func (w *watcher) tell(end bool) {
	if w == nil || len(w.changed) == 0 {
		return
	}
	for _, step := range slices.Sorted(maps.Keys(w.changed)) {
		row := w.changed[step]
		if !end && row.parts < w.whole && step >= w.newest-1 {
			continue
		}
		if !row.sampled { // until the generator's window comes, and as Rows has it
			row.Active, row.Queued = w.Active, w.Queued
		}
		w.Rows = append(w.Rows, row)
		delete(w.changed, step)
	}
	if len(w.Rows) == 0 {
		return
	}
	w.do(&w.News)
	w.Tally = Tally{}
	w.Sojourn.Reset()
	w.Slip.Reset()
	clear(w.Rows)
	w.Rows = w.Rows[:0]
}
