package controllershield

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
)

type items = workqueue.TypedRateLimitingInterface[string]

func limiter() workqueue.TypedRateLimiter[string] {
	return workqueue.NewTypedItemExponentialFailureRateLimiter[string](5*time.Millisecond, time.Second)
}

func ours(t testing.TB, cfg Config[string]) *Queue[string] {
	t.Helper()
	q, err := New("", limiter(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// Who keeps the contract: client-go's queue, controller-runtime's, which knows priorities but hands nothing out
// after a shutdown, and ours with several disciplines.
var queues = []struct {
	name                 string
	make                 func(t testing.TB) items
	priorities, shutdown bool // keeps this part
}{
	{"client-go", func(testing.TB) items { return workqueue.NewTypedRateLimitingQueue(limiter()) }, false, true},
	{"controller-runtime", func(testing.TB) items {
		return priorityqueue.New("", func(o *priorityqueue.Opts[string]) { o.RateLimiter = limiter() })
	}, true, false},
	{"ours", func(t testing.TB) items { return ours(t, Config[string]{}) }, true, true},
	{"ours, priority+fifo", func(t testing.TB) items { return ours(t, Config[string]{Queue: "priority+fifo"}) }, true, true},
	{"ours, priority+deadline", func(t testing.TB) items { return ours(t, Config[string]{Queue: "priority+deadline"}) }, true, true},
	{"ours, fifo-lockfree", func(t testing.TB) items { return ours(t, Config[string]{Queue: "fifo-lockfree"}) }, false, true},
}

// get takes what the queue hands out now; "-": nothing.
func get(q items) string {
	synctest.Wait()
	got := make(chan string, 1)
	go func() {
		item, shutdown := q.Get()
		if shutdown {
			item = "shutdown"
		}
		got <- item
	}()
	synctest.Wait()
	select {
	case item := <-got:
		return item
	default:
		return "-"
	}
}

// The contract of client-go's queues and of controller-runtime's: each step's result, in order. A get that finds
// nothing stays for the next step that brings something, so that each case has one at the most, and the last.
var contract = []struct {
	name                 string
	priorities, shutdown bool // only where these are kept
	run                  func(q items, say func(any))
	want                 string
}{
	{"once each, in order", false, false, func(q items, say func(any)) {
		q.Add("b")
		q.Add("a")
		q.Add("b")
		synctest.Wait()
		say(q.Len())
		say(get(q))
		say(get(q))
		say(q.Len())
		say(get(q))
	}, "2 b a 0 -"},
	{"not twice at a time", false, false, func(q items, say func(any)) {
		q.Add("a")
		say(get(q))
		q.Add("a")
		q.Add("b")
		q.Add("a")
		say(get(q))
		q.Done("a")
		say(get(q))
		q.Done("a")
		say(get(q))
	}, "a b a -"},
	{"done is done", false, false, func(q items, say func(any)) {
		q.Add("a")
		say(get(q))
		q.Done("a")
		q.Done("a")
		q.Done("never there")
		say(q.Len())
		say(get(q))
	}, "a 0 -"},
	{"after", false, false, func(q items, say func(any)) {
		q.AddAfter("late", 2*time.Second)
		q.AddAfter("early", time.Second)
		q.AddAfter("now", 0)
		q.AddAfter("past", -time.Second)
		synctest.Wait()
		say(q.Len())
		say(get(q))
		say(get(q))
		time.Sleep(time.Second)
		say(get(q))
		time.Sleep(time.Second - time.Millisecond)
		synctest.Wait()
		say(q.Len())
		time.Sleep(time.Millisecond)
		say(get(q))
	}, "2 now past early 0 late"},
	{"the earliest time", false, false, func(q items, say func(any)) {
		q.AddAfter("a", time.Second)
		q.AddAfter("a", time.Minute)
		q.AddAfter("a", time.Millisecond)
		time.Sleep(time.Millisecond)
		say(get(q))
		q.Done("a")
		time.Sleep(time.Hour)
		say(get(q))
	}, "a -"},
	{"after, while it is processed", false, false, func(q items, say func(any)) {
		q.Add("a")
		say(get(q))
		q.AddAfter("a", time.Second)
		time.Sleep(time.Minute)
		synctest.Wait()
		q.Add("b")
		say(get(q))
		q.Done("a")
		say(get(q))
	}, "a b a"},
	{"rate limited", false, false, func(q items, say func(any)) {
		for _, after := range []time.Duration{5, 10, 20} {
			q.AddRateLimited("a")
			time.Sleep(after*time.Millisecond - 1)
			synctest.Wait()
			say(q.Len())
			time.Sleep(time.Nanosecond)
			say(get(q))
			q.Done("a")
		}
		say(q.NumRequeues("a"))
		q.Forget("a")
		say(q.NumRequeues("a"))
		q.AddRateLimited("a")
		time.Sleep(5 * time.Millisecond)
		say(get(q))
	}, "0 a 0 a 0 a 3 0 a"},
	{"shut down", false, false, func(q items, say func(any)) {
		say(q.ShuttingDown())
		say(get(q))
		q.ShutDown()
		q.Add("a")
		q.AddAfter("a", 1)
		q.AddRateLimited("a")
		time.Sleep(time.Second)
		say(q.ShuttingDown())
		say(q.Len())
		say(get(q))
	}, "false - true 0 shutdown"},
	{"what is ready at the shutdown", false, true, func(q items, say func(any)) {
		q.AddAfter("late", time.Second)
		q.Add("a")
		say(get(q))
		q.Add("a")
		q.Add("b")
		q.ShutDown()
		q.ShutDown()
		say(get(q))
		say(get(q))
		q.Done("a")
		say(get(q))
		time.Sleep(time.Minute)
		say(get(q))
	}, "a b shutdown a shutdown"},
	{"drain", false, true, func(q items, say func(any)) {
		q.Add("a")
		say(get(q))
		q.Add("a")
		drained := make(chan bool)
		go func() { q.ShutDownWithDrain(); close(drained) }()
		over := func() bool {
			synctest.Wait()
			select {
			case <-drained:
				return true
			default:
				return false
			}
		}
		say(over())
		say(q.ShuttingDown())
		q.Add("b")
		go func() { // Done and Get come from one worker
			q.Done("a")
			item, _ := q.Get()
			say(item)
			time.Sleep(time.Second)
			q.Done(item)
		}()
		time.Sleep(time.Second)
		say(over())
		say(get(q))
	}, "a false true a true shutdown"},
	{"a drain that is called off", false, true, func(q items, say func(any)) {
		q.Add("a")
		say(get(q))
		drained := make(chan bool)
		go func() { q.ShutDownWithDrain(); close(drained) }()
		synctest.Wait()
		q.ShutDown()
		<-drained
		q.Done("a")
		say(get(q))
	}, "a shutdown"},
	{"an empty drain", false, true, func(q items, say func(any)) {
		q.AddAfter("a", time.Second)
		synctest.Wait()
		q.ShutDownWithDrain()
		say(get(q))
	}, "shutdown"},
	{"the highest priority", true, false, func(q items, say func(any)) {
		add(q, "a", -100)
		add(q, "a", 3)
		add(q, "a", 1)
		add(q, "a", -100)
		say(getWithPriority(q))
		add(q, "a", -100)
		synctest.Wait()
		q.Done("a")
		say(getWithPriority(q))
	}, "a3 a-100"},
	{"higher first", true, false, func(q items, say func(any)) {
		add(q, "low", -100)
		add(q, "lower", -100)
		add(q, "high", 0)
		say(getWithPriority(q))
		say(getWithPriority(q))
		say(getWithPriority(q))
	}, "high0 low-100 lower-100"},
	{"raised while it waits", true, false, func(q items, say func(any)) {
		add(q, "a", -100)
		add(q, "b", -100)
		add(q, "c", 0)
		add(q, "b", 0)
		synctest.Wait()
		say(q.Len())
		say(getWithPriority(q))
		say(getWithPriority(q))
		say(getWithPriority(q))
		say(q.Len())
		q.Done("b")
		say(get(q))
	}, "3 c0 b0 a-100 0 -"},
	{"raised before it is due", true, false, func(q items, say func(any)) {
		low, high := -100, 0
		q.(priorityqueue.PriorityQueue[string]).AddWithOpts(priorityqueue.AddOpts{After: time.Second, Priority: &low}, "a", "b")
		q.(priorityqueue.PriorityQueue[string]).AddWithOpts(priorityqueue.AddOpts{After: time.Hour, Priority: &high}, "b")
		synctest.Wait()
		time.Sleep(time.Second)
		say(getWithPriority(q))
		say(getWithPriority(q))
	}, "b0 a-100"},
	{"raised while it is processed", true, false, func(q items, say func(any)) {
		add(q, "a", -100)
		say(getWithPriority(q))
		add(q, "a", -100)
		add(q, "a", 7)
		synctest.Wait()
		q.Done("a")
		say(getWithPriority(q))
	}, "a-100 a7"},
	{"now instead of later", true, false, func(q items, say func(any)) {
		q.AddAfter("a", time.Second)
		q.Add("a")
		say(get(q))
		q.Done("a")
		time.Sleep(time.Minute)
		say(get(q))
	}, "a -"},
	{"the earlier of after and the limiter", true, false, func(q items, say func(any)) {
		q.(priorityqueue.PriorityQueue[string]).AddWithOpts(priorityqueue.AddOpts{After: time.Hour, RateLimited: true}, "a")
		q.(priorityqueue.PriorityQueue[string]).AddWithOpts(priorityqueue.AddOpts{After: time.Millisecond, RateLimited: true}, "b")
		synctest.Wait()
		time.Sleep(time.Millisecond)
		say(get(q))
		time.Sleep(4 * time.Millisecond)
		say(get(q))
	}, "b a"},
}

func add(q items, item string, priority int) {
	q.(priorityqueue.PriorityQueue[string]).AddWithOpts(priorityqueue.AddOpts{Priority: &priority}, item)
}

func getWithPriority(q items) string {
	synctest.Wait()
	item, priority, _ := q.(priorityqueue.PriorityQueue[string]).GetWithPriority()
	return fmt.Sprint(item, priority)
}

func TestContract(t *testing.T) {
	for _, who := range queues {
		for _, tt := range contract {
			if tt.priorities && !who.priorities || tt.shutdown && !who.shutdown {
				continue
			}
			t.Run(who.name+"/"+tt.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					q := who.make(t)
					said := ""
					tt.run(q, func(x any) { said += fmt.Sprint(x, " ") })
					if said != tt.want+" " {
						t.Errorf("got %s\nwant %s", said, tt.want)
					}
					if !q.ShuttingDown() || who.shutdown { // ends the get that found nothing; client-go's drain leaves a goroutine
						q.ShutDown()
					}
				})
			})
		}
	}
}

// One item through each queue: added, handed out, done.
func BenchmarkAddGetDone(b *testing.B) {
	for _, who := range queues {
		b.Run(who.name, func(b *testing.B) {
			q := who.make(b)
			defer q.ShutDown()
			b.ReportAllocs()
			for b.Loop() {
				q.Add("a")
				item, _ := q.Get()
				q.Done(item)
			}
		})
	}
}
