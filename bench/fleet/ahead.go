package fleet

import (
	"time"

	"github.com/leasestorm/leasestorm/queue"
)

// touch loads the droplets of the events, one after the other without waiting.
func (f *Fleet) touch(n int) []event {
	x := uint8(0)
	for i := range f.due[:n] {
		x |= f.droplets[f.due[i].droplet].tries
	}
	f.touched = x
	return f.due[:n]
}

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

// Droplets of a lane's timers are prefetched while others are served: window is how far
// behind the lane's head, fetch how many at a time at least.
const (
	window = 2 * batch
	fetch  = 16
)

// ahead prefetches the droplets of the timers that come after a lane's next ones, each
// once.
func (f *Fleet) ahead(l *lane) {
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
