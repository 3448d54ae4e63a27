package controllershield

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/atomic"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"

	"github.com/leasestorm/leasestorm/internal/testseed"
	"github.com/leasestorm/leasestorm/queue"
)

// Whatever the discipline: an item is processed by one worker at a time, and each add is followed by a processing
// that begins after it. At the end nothing is left behind, in the discipline neither.
func TestNothingIsLost(t *testing.T) {
	var names []string
	for _, e := range queue.Catalog.List() {
		if e.Name != "slack" {
			names = append(names, e.Name)
		}
	}
	names = append(names, "", "priority+fifo", "fair+deadline", "percore+fifo", "edf+deadline", "bounded:limit=3", "priority+bounded:limit=1", "deadline:margin=1000")
	seed := testseed.Draw(t)
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := ours(t, Config[string]{
					Queue: name, Service: 5 * time.Millisecond, Workers: 3, Zone: func(item string) uint8 { return item[0] % 4 },
					Timeout: func(priority int) time.Duration { return time.Duration(200-priority) * time.Millisecond },
				})
				var mu sync.Mutex
				added, begun, busy := map[string]int{}, map[string]int{}, map[string]bool{}
				clock := 0
				var workers, all sync.WaitGroup
				for range 3 {
					workers.Go(func() {
						for {
							item, shutdown := q.Get()
							if shutdown {
								return
							}
							mu.Lock()
							if busy[item] {
								t.Errorf("%s is processed twice at a time", item)
							}
							clock++
							busy[item], begun[item] = true, clock
							mu.Unlock()
							time.Sleep(5 * time.Millisecond)
							mu.Lock()
							busy[item] = false
							mu.Unlock()
							if item[0]%2 == 0 {
								q.Forget(item)
							}
							q.Done(item)
						}
					})
				}
				for i := range 20 {
					rng := rand.New(rand.NewPCG(seed, uint64(i)))
					all.Go(func() {
						for range 50 {
							time.Sleep(time.Duration(rng.IntN(20)) * time.Millisecond)
							item, priority := fmt.Sprint(rng.IntN(30)), rng.IntN(250)-150
							o := priorityqueue.AddOpts{Priority: &priority, RateLimited: rng.IntN(4) == 0}
							if rng.IntN(3) == 0 {
								o.After = time.Duration(rng.IntN(50)) * time.Millisecond
							}
							mu.Lock()
							clock++
							added[item] = clock
							mu.Unlock()
							q.AddWithOpts(o, item)
						}
					})
				}
				all.Wait()
				for range 1000 { // what is given up comes again, by the limiter
					time.Sleep(time.Second)
					q.mu.Lock()
					rest := len(q.entries) + len(q.processing)
					q.mu.Unlock()
					if rest == 0 {
						break
					}
					if strings.Contains(name, "margin=1000") { // which nothing can meet
						break
					}
				}
				q.ShutDownWithDrain()
				workers.Wait()
				if !strings.Contains(name, "margin=1000") {
					for item, at := range added {
						if begun[item] < at {
							t.Errorf("%s: added at %d, processed last at %d", item, at, begun[item])
						}
					}
				}
				q.mu.Lock()
				defer q.mu.Unlock()
				_, _ = q.order.Pop(q.now(), make([]queue.Item, 1000)) // slots without an entry
				if len(q.entries)+len(q.processing)+q.ready+q.order.Len() != 0 {
					t.Errorf("%d entries, %d processed, %d ready, %d in the discipline", len(q.entries), len(q.processing), q.ready, q.order.Len())
				}
			})
		})
	}
}

// What a discipline gives up comes again by the rate limiter, or goes to Dropped for good.
func TestGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := Config[string]{Queue: "deadline", Timeout: func(int) time.Duration { return time.Second }}
		q := ours(t, cfg)
		q.Add("a")
		time.Sleep(2 * time.Second)
		began := time.Now()
		if item, _ := q.Get(); item != "a" || time.Since(began) != 5*time.Millisecond || q.NumRequeues("a") != 1 {
			t.Errorf("%q after %v, %d requeues; want a after the limiter's 5 ms", item, time.Since(began), q.NumRequeues("a"))
		}
		q.Done("a")
		q.Add("b")
		time.Sleep(2 * time.Second)
		q.ShutDown()
		if item, shutdown := q.Get(); item != "b" || shutdown {
			t.Errorf("%q after a shutdown: nothing comes again then", item)
		}

		var dropped []string
		cfg.Dropped = func(item string, why queue.Reason) {
			dropped = append(dropped, item+" "+why.String())
			q.Add("c") // it may add
		}
		q = ours(t, cfg)
		q.Add("a")
		time.Sleep(2 * time.Second)
		if item, _ := q.Get(); item != "c" || fmt.Sprint(dropped) != "[a expired]" {
			t.Errorf("%q, dropped %v", item, dropped)
		}
		cfg.Queue = "bounded:limit=1"
		dropped, q = nil, nil
		cfg.Dropped = func(item string, why queue.Reason) { dropped = append(dropped, item+" "+why.String()) }
		q = ours(t, cfg)
		q.Add("a")
		q.Add("b")
		if item, _ := q.Get(); item != "a" || fmt.Sprint(dropped) != "[b full]" || q.Len() != 0 {
			t.Errorf("%q, dropped %v", item, dropped)
		}
	})
}

// The place that a raised item leaves behind is given back when nothing else is ready.
func TestPlacesLeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := ours(t, Config[string]{Queue: "priority+bounded:limit=1"})
		add(q, "a", -100)
		add(q, "a", 0)
		if got := getWithPriority(q); got != "a0" {
			t.Errorf("got %s", got)
		}
		add(q, "b", -100) // finds no room, and comes again
		if got := getWithPriority(q); got != "b-100" {
			t.Errorf("got %s", got)
		}
	})
}

// Low priorities have their share of the turns, however many of the others come.
func TestLowPrioritiesDoNotStarve(t *testing.T) {
	q := ours(t, Config[string]{})
	for i := range 100 {
		add(q, fmt.Sprint("low", i), -100)
	}
	low := 0
	for i := range 1000 {
		add(q, fmt.Sprint("high", i), 0)
		item, priority, _ := q.GetWithPriority()
		if priority < 0 {
			low++
		}
		q.Done(item)
	}
	if low != 100 {
		t.Errorf("%d of 1,000 turns were of low priority, want a tenth", low)
	}
}

// Of one class the earlier deadline is first: a priority above 0 overtakes what has waited for less than nine
// seconds, and nothing else.
func TestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := ours(t, Config[string]{})
		add(q, "old", 0)
		time.Sleep(9*time.Second + time.Millisecond)
		add(q, "new", 0)
		add(q, "raised", 0)
		add(q, "high", 1)
		add(q, "raised", 1)
		for _, want := range []string{"old0", "high1", "raised1", "new0"} {
			if got := getWithPriority(q); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
		q = ours(t, Config[string]{})
		add(q, "overdue", -100)
		time.Sleep(time.Second)
		add(q, "later", 0)
		time.Sleep(time.Minute)
		add(q, "overdue", 1) // it keeps its deadline
		if got := getWithPriority(q); got != "overdue1" {
			t.Errorf("got %s", got)
		}
	})
}

func TestConfigRefused(t *testing.T) {
	for want, cfg := range map[string]Config[int]{
		"Queue": {Queue: "nothing"}, "slack": {Queue: "edf+slack"}, "Timeout(0)": {Timeout: func(int) time.Duration { return 0 }},
		"71 minutes": {Timeout: func(int) time.Duration { return 2 * time.Hour }}, "Service": {Service: time.Minute}, "Workers": {Workers: -1},
	} {
		if _, err := NewQueue(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// A class that is none is no panic in a discipline.
func TestClassBeyond(t *testing.T) {
	q := ours(t, Config[string]{Queue: "deadline", Class: func(int) queue.Class { return 200 }})
	q.Add("a")
	if item, _ := q.Get(); item != "a" {
		t.Error(item)
	}
}

// Many workers and adders at once, for the race detector.
func TestRace(t *testing.T) {
	q := ours(t, Config[string]{Workers: 4})
	var done atomic.Int64
	var workers, adders sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			for {
				item, _, shutdown := q.GetWithPriority()
				if shutdown {
					return
				}
				done.Inc()
				if done.Load()%3 == 0 {
					q.AddRateLimited(item)
				} else {
					q.Forget(item)
				}
				q.Done(item)
			}
		})
	}
	for i := range 4 {
		adders.Go(func() {
			for j := range 2000 {
				add(q, fmt.Sprint(j%50), i*j%200-100)
				_ = q.Len()
				_ = q.NumRequeues("1")
			}
		})
	}
	adders.Wait()
	q.ShutDownWithDrain()
	workers.Wait()
	if q.Len() != 0 || done.Load() == 0 || !q.ShuttingDown() {
		t.Errorf("%d left, %d done", q.Len(), done.Load())
	}
}
