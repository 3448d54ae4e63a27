package queue_test

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/catalog"
	"github.com/leasestorm/leasestorm/queue/queuetest"
)

func TestCompositionErrors(t *testing.T) {
	for ref, want := range map[string]string{
		"nosuch+fifo": "unknown name; there are: cancel", "percore+nosuch": "there are: ", "fifo+percore": "goes last in a composition", "percore:x=1+fifo": "no parameter", "percore+": "there are: ",
		"edf+bounded:limit=1":             `"edf+bounded:limit=1": bad parameter: edf keeps all attempts itself, takes over deadline's drop rule, and would ignore bounded; write "edf" or "edf+deadline" or "bounded:limit=1"`,
		"edf+pie":                         `would ignore pie; write "edf" or "edf+deadline" or "pie"`,
		"cancel+edf+lifo":                 `would ignore lifo; write "cancel+edf" or "cancel+edf+deadline" or "cancel+lifo"`,
		"edf+coalesce+fifo":               `would ignore coalesce; write "coalesce+edf"`,
		"edf+fair+cancel+deadline":        `would ignore fair; write "fair+cancel+edf+deadline"`,
		"edf+coalesce+percore+fifo":       `would ignore coalesce; write "coalesce+edf"`,
		"edf+edf":                         `would ignore edf; write "edf" or "edf+deadline"`,
		"cancel+percore:parts=2+deadline": `workers cannot reach percore's parts through cancel; write "percore:parts=2+cancel+deadline"`,
		"percore+coalesce+fifo":           `coalesce sees those of one part; write "coalesce+fifo"`,
		"coalesce+percore+fifo":           `coalesce sees those of one part; write "coalesce+fifo"`,
		"fair+priority+fair+codel":        `the second fair has nothing left to do; write "fair+priority+codel"`,
		"priority+slack:theta=0.3":        `priority takes apart the classes that slack orders; write "slack:theta=0.3" or "priority+deadline"`,
	} {
		_, err := queue.Make(ref, queuetest.Config)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v\nwant …%s…", ref, err, want)
		}
		if check := queue.Validate(ref); check == nil || check.Error() != err.Error() {
			t.Errorf("%s: Validate says %v, Make %v", ref, check, err)
		}
	}
}

// compositions are all disciplines, alone and behind one and two wrappers.
func compositions() []string {
	refs := queue.Catalog.Names()
	inner := refs
	for range 2 {
		var outer []string
		for _, w := range queue.Wrappers.Names() {
			for _, ref := range inner {
				outer = append(outer, w+"+"+ref)
			}
		}
		refs, inner = append(refs, outer...), outer
	}
	return refs
}

// keeps says, for each part of a composition, whether a queue keeps what the part promises.
// A part without an entry promises nothing but to keep and give.
var keeps = map[string]func(q queue.Discipline) bool{
	"percore":  func(q queue.Discipline) bool { _, ok := q.(queue.Sharder); return ok },
	"coalesce": func(q queue.Discipline) bool { return give(q, attempt(1), attempt(1)) == 1 },
	"fair": func(q queue.Discipline) bool { // zone 1 does not wait for all of zone 0
		give(q, attempt(1), attempt(2), attempt(3), attempt(4))
		give(q, queue.Item{Droplet: 5, Zone: 1, Class: queue.Establish, Timeout: queue.ToMicros(time.Second)})
		first, second := take(q, 0), take(q, 0)
		return first == 5 || second == 5
	},
	"priority": func(q queue.Discipline) bool {
		give(q, attempt(1), queue.Item{Droplet: 2, Timeout: queue.ToMicros(time.Second), LeaseUntil: 60_000})
		return take(q, 0) == 2
	},
	"apf": func(q queue.Discipline) bool { // it waits for a quarter of its timeout
		give(q, attempt(9))
		taken, dropped := q.Pop(300*time.Millisecond, make([]queue.Item, 4))
		return taken == 0 && dropped > 0
	},
	"bounded":          func(q queue.Discipline) bool { return give(q, many(1000)...) < 1000 },
	"cancel":           dropsDead,
	"deadline":         dropsDead,
	"codel":            dropsForDelay,
	"codel-vitess":     dropsForDelay,
	"controlled-delay": dropsForDelay,
	"pie":              dropsForDelay,
	"lifo":             func(q queue.Discipline) bool { give(q, attempt(1), attempt(2)); return take(q, 0) == 2 },
	"lifo-lockfree":    func(q queue.Discipline) bool { give(q, attempt(1), attempt(2)); return take(q, 0) == 2 },
	"adaptive-lifo": func(q queue.Discipline) bool {
		give(q, attempt(1), attempt(2))
		return take(q, 200*time.Millisecond) == 2
	},
	"random": func(q queue.Discipline) bool { // of so many, the order of arrival is not drawn by chance
		for i := range 64 {
			it := []queue.Item{{Timeout: queue.Forever, Droplet: uint32(i)}}
			q.Push(0, it)
		}
		dst := make([]queue.Item, 1)
		for i := range 64 {
			if taken, _ := q.Pop(0, dst); taken == 1 && dst[0].Droplet != uint32(i) {
				return true
			}
		}
		return false
	},
	"edf": func(q queue.Discipline) bool {
		give(q, attempt(1), queue.Item{Droplet: 2, Class: queue.Establish, Timeout: queue.ToMicros(time.Second / 2)})
		return take(q, 0) == 2
	},
	"slack": func(q queue.Discipline) bool {
		give(q, queue.Item{Droplet: 1, Timeout: queue.ToMicros(time.Second), LeaseUntil: 60_000}, attempt(2))
		return take(q, 0) == 2 && dropsDead(q)
	},
}

func attempt(droplet uint32) queue.Item {
	return queue.Item{Droplet: droplet, Class: queue.Establish, Timeout: queue.ToMicros(time.Second)}
}

func many(n int) (items []queue.Item) {
	for i := range n {
		items = append(items, attempt(uint32(i)))
	}
	return items
}

// give pushes items one by one at 0 and counts those that are kept.
func give(q queue.Discipline, items ...queue.Item) (kept int) {
	for i := range items {
		kept += q.Push(0, items[i:i+1])
	}
	return kept
}

// take is the droplet of the item that comes out next.
func take(q queue.Discipline, now time.Duration) uint32 {
	dst := make([]queue.Item, 1)
	q.Pop(now, dst)
	return dst[0].Droplet
}

func dropsDead(q queue.Discipline) bool {
	give(q, attempt(9))
	taken, dropped := q.Pop(2*time.Second, make([]queue.Item, 4))
	return taken == 0 && dropped > 0
}

// dropsForDelay offers twice as much as is taken, from ever new droplets.
func dropsForDelay(q queue.Discipline) bool {
	for now := time.Duration(0); now < 2*time.Second; now += time.Millisecond {
		it := []queue.Item{{Born: now, Droplet: uint32(now / time.Millisecond), Class: queue.Establish, Timeout: queue.Forever}}
		if q.Push(now, it) == 0 && it[0].Why == queue.Delay {
			return true
		}
		dst := make([]queue.Item, 1)
		if now%(2*time.Millisecond) == 0 {
			if _, dropped := q.Pop(now, dst); dropped > 0 && dst[0].Why == queue.Delay {
				return true
			}
		}
	}
	return false
}

// Whatever composition is taken, each of its parts keeps what it promises; all others are
// refused, and what is to be written instead is taken.
func TestCompositions(t *testing.T) {
	quoted := regexp.MustCompile(`"([^"]+)"`)
	taken, refused := 0, 0
	for _, ref := range compositions() {
		if err := queue.Validate(ref); err != nil {
			refused++
			_, instead, _ := strings.Cut(err.Error(), "; write ")
			refs := quoted.FindAllStringSubmatch(instead, -1)
			if !errors.Is(err, catalog.ErrParam) || len(refs) == 0 {
				t.Errorf("%s: %v", ref, err)
			}
			for _, other := range refs {
				if err := queue.Validate(other[1]); err != nil {
					t.Errorf("%s: %q is to be written instead, and is refused: %v", ref, other[1], err)
				}
			}
			continue
		}
		taken++
		names := strings.Split(ref, "+")
		for i, name := range names {
			keep := keeps[name]
			if keep == nil {
				continue
			}
			// Percore gives up the order between parts: here it has one.
			q, err := queue.Make(strings.NewReplacer("bounded", "bounded:limit=4", "percore", "percore:parts=1").Replace(ref), queuetest.Config)
			if err != nil {
				t.Fatal(err)
			}
			if !keep(q) {
				t.Errorf("%s: part %d, %s, does not keep what it promises", ref, i, name)
			}
		}
	}
	if n := len(queue.Catalog.Names()); taken < 12*n || refused < n {
		t.Errorf("%d compositions taken, %d refused", taken, refused)
	}
	for _, name := range append(queue.Wrappers.Names(), queue.Catalog.Names()...) {
		if keeps[name] == nil && !slices.Contains([]string{"fifo", "fifo-lockfree"}, name) {
			t.Errorf("it is not written here what %s promises", name)
		}
	}
	t.Logf("%d compositions taken, %d refused", taken, refused)
}

// A server that sees a share of the cancellations serves the others, and whether it sees one is the
// same at every look.
func TestCancelSeen(t *testing.T) {
	const n = 10_000
	for seen, want := range map[string]int{"0": 0, "0.25": n / 4, "1": n} {
		q, err := queue.Make("cancel:seen="+seen+"+fifo", queuetest.Config)
		if err != nil {
			t.Fatal(err)
		}
		items := make([]queue.Item, 2*n)
		for i := range items {
			items[i] = queue.Item{Born: time.Duration(i), Timeout: queue.ToMicros(time.Second), Droplet: uint32(i)}
			if i >= n {
				items[i].Timeout = queue.Forever
			}
		}
		q.Push(0, items)
		dst := make([]queue.Item, 2*n)
		taken, dropped := q.Pop(time.Minute, dst)
		if taken+dropped != 2*n || dropped < want-150 || dropped > want+150 { // 3.5 standard deviations at a quarter
			t.Errorf("seen=%s: %d dropped, want about %d of %d", seen, dropped, want, n)
		}
		for i, it := range dst {
			again := it
			again.Why = queue.NotShed
			stale := q.(queue.Rechecker).Stale(time.Minute, &again)
			if again.Why != it.Why {
				t.Fatalf("attempt %d: asked again the reason is %v, and was %v", i, again.Why, it.Why)
			}
			if stale != (i >= taken) || stale && (it.Why != queue.Cancelled || it.Timeout == queue.Forever) {
				t.Fatalf("seen=%s: attempt %d of %d: stale %v, %+v", seen, i, taken, stale, it)
			}
		}
	}
}
