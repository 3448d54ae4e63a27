package dwfm

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/admit"
)

// Throttle puts the operator's admission controller in front of the run's own. Nil removes it.
func (m *Manager) Throttle(c admit.Controller) {
	if c == nil {
		m.throttle.Store(nil)
		return
	}
	m.throttle.Store(&c)
}

// Restart orders a share of the queue to be emptied, 0 to 1, as the restart of some of the
// manager's hosts did in the outage. The leases stay. The next worker that calls Drain carries
// the order out. Of two orders before that, the second empties its share of what the first
// leaves.
func (m *Manager) Restart(share float64) {
	for {
		old := m.restart.Load()
		both := 1 - float64((1-math.Float64frombits(old))*(1-share))
		if m.restart.CompareAndSwap(old, math.Float64bits(both)) {
			return
		}
	}
}

// Drain carries out a restart that was ordered. It sheds attempts that wait at now; their droplets
// are not told. It fills dst with them and returns their number. The engine calls Drain with the
// same now until it returns 0. Attempts that are offered meanwhile go back into the queue.
func (w *Worker) Drain(now time.Duration, dst []queue.Item) (shed int) {
	if w.left == 0 && len(w.aside) == 0 && w.m.restart.Load() == 0 {
		return 0
	}
	return w.drain(now, dst)
}

func (w *Worker) drain(now time.Duration, dst []queue.Item) (shed int) {
	if w.left == 0 && len(w.aside) > 0 {
		return w.putBack(now, dst)
	}
	if w.left == 0 {
		share := w.m.restart.Load()
		if share == 0 || !w.m.restart.CompareAndSwap(share, 0) {
			return 0
		}
		// Attempts that come from now on are not part of the restart.
		w.left = int(math.Ceil(math.Float64frombits(share) * float64(w.m.Queued())))
	}
	all := dst
	for shed == 0 && w.left > 0 {
		dst = dst[:min(len(dst), w.left)]
		taken, dropped := w.m.cfg.Queue.Pop(now, dst)
		if taken+dropped == 0 {
			w.left = 0
			break
		}
		for i := range dst[:taken] {
			if dst[i].Offered() > now { // a lifo gives out newcomers first
				w.aside = append(w.aside, dst[i])
				continue
			}
			dst[shed] = dst[i]
			dst[shed].Why = queue.Restarted
			shed++
		}
		shed += copy(dst[shed:], dst[len(dst)-dropped:])
		w.left -= shed
	}
	w.m.shed(now, dst[:shed])
	if w.left == 0 {
		return shed + w.putBack(now, all[shed:])
	}
	return shed
}

// putBack pushes the attempts that a drain set aside, in the order of their offers. Attempts that
// the discipline refuses are shed into dst. What dst cannot hold is left to the next call.
func (w *Worker) putBack(now time.Duration, dst []queue.Item) (shed int) {
	slices.SortFunc(w.aside, func(a, b queue.Item) int {
		return cmp.Or(cmp.Compare(a.Offered(), b.Offered()), cmp.Compare(a.Born, b.Born))
	})
	for len(w.aside) > 0 && shed < len(dst) {
		batch := w.aside[:min(len(w.aside), len(dst)-shed)]
		kept := w.m.cfg.Queue.Push(now, batch)
		given := copy(dst[shed:], batch[kept:])
		w.m.shed(now, dst[shed:shed+given])
		shed += given
		w.aside = w.aside[len(batch):]
	}
	return shed
}
