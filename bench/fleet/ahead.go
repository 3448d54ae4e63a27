package fleet

import (
	"time"
	"unsafe"

	"github.com/leasestorm/leasestorm/lease/dwfm"
	"github.com/leasestorm/leasestorm/queue"
)

// Records that timers and answers will read are prefetched in groups, so that their cache misses
// overlap.
const (
	window = 64 // entries: how far ahead records are prefetched
	fetch  = 16 // entries: the smallest group
)

// Prefetch loads the droplets of up to 64 attempts into the cache, before their answers come. It
// leaves out attempts that are past their deadline at now.
func (f *Fleet) Prefetch(now time.Duration, items []queue.Item) {
	l := f.soon[:0]
	for i := range items[:min(window, len(items))] {
		if it := &items[i]; now < it.Deadline() {
			l = append(l, unsafe.Pointer(&f.droplets[it.Droplet]))
		}
	}
	prefetch(l)
}

// aheadOfSeeds prefetches what New and its caller will write for the droplets that come next.
func (f *Fleet) aheadOfSeeds(droplets []uint32) {
	l := f.soon[:0]
	for _, i := range droplets {
		l = append(l, unsafe.Pointer(&f.droplets[i]))
	}
	prefetch(l)
	if f.cfg.Soon != nil {
		f.cfg.Soon(droplets)
	}
}

// aheadOfAnswers prefetches the droplets of a batch of answers.
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

// ahead returns the positions between head and tail to prefetch now, from up to but not including
// to. fetched is the end of the last group.
func ahead(fetched *uint64, head, tail uint64) (from, to uint64) {
	from, to = max(*fetched, head), min(head+window, tail)
	if to < from+fetch {
		return to, to
	}
	*fetched = to
	return from, to
}

// aheadOf prefetches the droplets of the next timers of a lane.
func (f *Fleet) aheadOf(c *lane) {
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

// aheadOfRandom prefetches the droplets of the next retries and first checks.
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

// aheadOfTimeouts prefetches the attempts that time out next. If again is false, it prefetches
// their droplets as well.
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
