package fleet

import (
	"time"

	"github.com/leasestorm/leasestorm/queue"
)

// Touch loads the droplets of attempts whose answers are soon to come, but those that will
// be late.
func (f *Fleet) Touch(now time.Duration, items []queue.Item) {
	x := uint8(0)
	for i := range items {
		if it := &items[i]; now < it.Deadline {
			x |= f.droplets[it.Droplet].tries
		}
	}
	f.touched = x
}

// What timers will look at is loaded before they are due, so that the cache misses overlap:
// window is how far ahead, fetch how many at a time at least.
const (
	window = 64
	fetch  = 16
)

// aheadOfChecks prefetches the droplets of checks to come, each once.
func (f *Fleet) aheadOfChecks() {
	l := &f.checks
	from, to := max(l.fetched, l.head), min(l.head+window, l.tail)
	if to < from+fetch {
		return
	}
	for l.fetched = to; from < to; {
		i := from % segTimers
		n := min(segTimers-i, to-from)
		f.prefetch(l.seg(from).droplet[i : i+n])
		from += n
	}
}

// aheadOfRandom loads the droplets of retries and first checks to come.
func (f *Fleet) aheadOfRandom() {
	w := f.random
	if w.next%fetch != 0 {
		return
	}
	x := uint8(0)
	for _, t := range w.near[w.next:min(w.next+fetch, len(w.near))] {
		x |= f.droplets[t.droplet].tries
	}
	f.touched = x
}

// aheadOfTimeouts loads attempts that will time out, and their droplets if they do not ask
// again at once.
func (f *Fleet) aheadOfTimeouts(again bool) {
	l := &f.out
	from, to := max(l.fetched, l.head), min(l.head+window, l.tail)
	if to < from+fetch {
		return
	}
	x := uint8(0)
	for pos := from; pos < to; pos++ {
		x |= l.at(l.order[pos&l.mask]).tries
	}
	if !again {
		for pos := from; pos < to; pos++ {
			if a := l.at(l.order[pos&l.mask]); a.droplet != nobody {
				x |= f.droplets[a.droplet].tries
			}
		}
	}
	l.fetched, f.touched = to, x
}
