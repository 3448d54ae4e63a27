package queue_test

import (
	"testing"
	"time"

	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/queuetest"
)

// FuzzDisciplines plays calls that the input spells out on every discipline, and around each
// of them every wrapper: nothing is lost, nothing comes out twice, what is given up has a
// reason, and Len is right.
func FuzzDisciplines(f *testing.F) {
	f.Add([]byte{3, 9, 200, 1, 255, 4, 0, 8, 130})
	f.Add([]byte("fifo is not the only order there is"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) < 2 || len(text) > 400 {
			return
		}
		refs := queue.Catalog.Names()
		ref := refs[int(text[0])%len(refs)]
		if w := append(queue.Wrappers.Names(), ""); w[int(text[1])%len(w)] != "" {
			ref = w[int(text[1])%len(w)] + "+" + ref
		}
		if queue.Validate(ref) != nil {
			return // TestCompositions looks at what is refused
		}
		q, err := queue.Make(ref, queuetest.Config)
		if err != nil {
			t.Fatal(err)
		}
		now, born := time.Duration(0), uint64(0)
		inside := map[uint64]bool{}
		gone := func(it queue.Item, shed bool) {
			if !inside[it.Lease] {
				t.Fatalf("%s: item %d came out twice, or was never put in", ref, it.Lease)
			}
			if shed != (it.Why != queue.NotShed) {
				t.Fatalf("%s: item %d came out with the reason %q", ref, it.Lease, it.Why)
			}
			delete(inside, it.Lease)
		}
		for _, c := range text[2:] {
			n := int(c&7) + 1
			switch c >> 6 {
			case 0, 1: // push
				items := make([]queue.Item, n)
				for i := range items {
					born++
					items[i] = queue.Item{
						Born: now, Timeout: queue.ToMicros(queuetest.Config.Timeout), Lease: born, Droplet: uint32(c>>3)%5 + uint32(i)%3,
						Class: queue.Class(int(c+uint8(i)) % int(queue.Classes)), Zone: c % 3, LeaseUntil: queue.ToMillis(now + time.Duration(c)*time.Second/4),
					}
					inside[born] = true
				}
				kept := q.Push(now, items)
				for _, it := range items[kept:] {
					gone(it, true)
				}
			case 2: // pop
				dst := make([]queue.Item, n)
				taken, dropped := q.Pop(now, dst)
				for _, it := range dst[:taken] {
					gone(it, false)
				}
				for _, it := range dst[len(dst)-dropped:] {
					gone(it, true)
				}
			default: // time passes
				now += time.Duration(c&63) * 25 * time.Millisecond
			}
			if q.Len() != len(inside) {
				t.Fatalf("%s: Len is %d with %d inside", ref, q.Len(), len(inside))
			}
		}
	})
}
