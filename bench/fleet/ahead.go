package fleet

import (
	"time"
	"unsafe"

	"github.com/leasestorm/leasestorm/lease/dwfm"
	"github.com/leasestorm/leasestorm/queue"
)

// What timers and answers will look at is prefetched, so that the cache misses overlap:
// window is how far ahead, fetch how many at a time at least.
const (
	window = 64
	fetch  = 16
)

// Prefetch prefetches the droplets of attempts, up to 64, whose answers are soon to come, but
// those that will be late.
func (f *Fleet) Prefetch(now time.Duration, items []queue.Item) {
	l := f.soon[:0]
	for i := range items[:min(window, len(items))] {
		if it := &items[i]; now < it.Deadline() {
			l = append(l, unsafe.Pointer(&f.droplets[it.Droplet]))
		}
	}
	prefetch(l)
}

// aheadOfAnswers prefetches the droplets of answers that have come together.
func (f *Fleet) aheadOfAnswers(answers []dwfm.Answer) {
	if len(answers) < 2 {
		return
	}
	l := f.soon[:0]
	for i := range answers[:min(window, len(answers))] {
		l = append(l, unsafe.Pointer(&f.droplets[answers[i].Droplet]))
	}
	prefetch(l)
}

// ahead is the part of positions from head to tail that is to be prefetched now: fetched is
// where the last one ended.
func ahead(fetched *uint64, head, tail uint64) (from, to uint64) {
	from, to = max(*fetched, head), min(head+window, tail)
	if to < from+fetch {
		return to, to
	}
	*fetched = to
	return from, to
}

// aheadOfChecks prefetches the droplets of checks to come.
func (f *Fleet) aheadOfChecks() {
	c := &f.checks
	from, to := ahead(&c.fetched, c.head, c.tail)
	if from == to {
		return
	}
	l := f.soon[:0]
	for from < to {
		i := from % segTimers
		end := min(i+to-from, segTimers)
		for _, droplet := range c.seg(from).droplet[i:end] {
			l = append(l, unsafe.Pointer(&f.droplets[droplet]))
		}
		from += end - i
	}
	prefetch(l)
}

// aheadOfRandom prefetches the droplets of retries and first checks to come.
func (f *Fleet) aheadOfRandom() {
	w := f.random
	if w.next%fetch != 0 {
		return
	}
	l := f.soon[:0]
	for _, t := range w.near[w.next:min(w.next+fetch, len(w.near))] {
		l = append(l, unsafe.Pointer(&f.droplets[t.droplet]))
	}
	prefetch(l)
}

// aheadOfTimeouts prefetches attempts that will time out, and their droplets if they do not
// ask again at once.
func (f *Fleet) aheadOfTimeouts(again bool) {
	o := &f.out
	from, to := ahead(&o.fetched, o.head, o.tail)
	if from == to {
		return
	}
	l := f.soon[:0]
	for p := from; p < to; p++ {
		if place := o.order[p&o.mask]; place != gone {
			l = append(l, unsafe.Pointer(o.at(place)))
		}
	}
	prefetch(l)
	if again {
		return
	}
	l = l[:0]
	for p := from; p < to; p++ {
		if place := o.order[p&o.mask]; place != gone {
			l = append(l, unsafe.Pointer(&f.droplets[o.at(place).droplet]))
		}
	}
	prefetch(l)
}
