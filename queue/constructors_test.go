package queue_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/catalog"
	"github.com/leasestorm/leasestorm/queue/queuetest"
)

// A constructor makes what the catalog makes under the same parameters.
func TestConstructors(t *testing.T) {
	const ms = time.Millisecond
	must := func(d queue.Discipline, err error) queue.Discipline {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	fifo := func() (queue.Discipline, error) { return queue.NewFIFO(), nil }
	margin := queue.Margin{ms, 4 * ms, 4 * ms} // a service of queuetest.Config
	for ref, got := range map[string]queue.Discipline{
		"fifo":                           queue.NewFIFO(),
		"lifo":                           queue.NewLIFO(),
		"fifo-lockfree":                  queue.NewLockFreeFIFO(),
		"lifo-lockfree":                  queue.NewLockFreeLIFO(),
		"bounded:limit=7":                must(queue.NewBounded(7)),
		"deadline:margin=0":              must(queue.NewDeadline(queue.Margin{})),
		"deadline":                       must(queue.NewDeadline(margin)),
		"edf":                            queue.NewEDF(nil),
		"edf+deadline":                   queue.NewEDF(must(queue.NewDeadline(margin)).(queue.Rechecker)),
		"slack":                          must(queue.NewSlack(queue.SlackOptions{Urgent: 12 * time.Second, Margin: margin})),
		"codel":                          must(queue.NewCoDel(queue.CoDelOptions{})),
		"codel:target=7ms,interval=90ms": must(queue.NewCoDel(queue.CoDelOptions{Target: 7 * ms, Interval: 90 * ms})),
		"coalesce+lifo":                  queue.NewCoalesce(queue.NewLIFO()),
		"cancel+lifo":                    queue.NewCancel(queue.NewLIFO()),
		"fair+fifo":                      must(queue.NewFair(queue.FairOptions{Cost: [queue.Classes]int{1, 4, 4}}, fifo)),
		"priority:share=0.3+fifo":        must(queue.NewPriority(0.3, queue.NewFIFO(), queue.NewFIFO())),
		"percore:parts=3+fifo":           must(queue.NewPerCore(3, fifo)),
		"percore+cancel+fifo":            must(queue.NewPerCore(2, func() (queue.Discipline, error) { return queue.NewCancel(queue.NewFIFO()), nil })),
	} {
		want, err := queue.Make(ref, queuetest.Config)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %+v\nwant %+v", ref, got, want)
		}
	}
}

// An edf whose rule is a bare margin drops what edf+deadline drops.
func TestMarginIsRule(t *testing.T) {
	q := queue.NewEDF(&queue.Margin{queue.Establish: 10})
	q.Push(0, []queue.Item{{Timeout: 1, Class: queue.Establish}, {Timeout: 2, Class: queue.Check}})
	dst := make([]queue.Item, 2)
	if taken, dropped := q.Pop(990, dst); taken != 1 || dropped != 1 || dst[1].Why != queue.Expired || dst[1].Class != queue.Establish {
		t.Errorf("%d taken, %d dropped: %+v", taken, dropped, dst)
	}
}

// An option out of range is named with its value and its range.
func TestOptions(t *testing.T) {
	one := func(_ queue.Discipline, err error) error { return err }
	fifo := func() (queue.Discipline, error) { return queue.NewFIFO(), nil }
	fails := errors.New("no part today")
	for want, err := range map[string]error{
		"limit is 0, want at least 1 attempt":            one(queue.NewBounded(0)),
		"Margin[establish] is -1ns, want 0s or more":     one(queue.NewDeadline(queue.Margin{queue.Establish: -1})),
		"Margin[check] is -1s, want 0s or more":          one(queue.NewSlack(queue.SlackOptions{Margin: queue.Margin{-time.Second}})),
		"SlackOptions.Urgent is -1s, want 0s or more":    one(queue.NewSlack(queue.SlackOptions{Urgent: -time.Second})),
		"CoDelOptions.Target is -1ns, want 0s or more":   one(queue.NewCoDel(queue.CoDelOptions{Target: -1})),
		"CoDelOptions.Interval is -1ns, want 0s or more": one(queue.NewCoDel(queue.CoDelOptions{Interval: -1})),
		"FairOptions.Cost[launch] is -2, want 0 or more": one(queue.NewFair(queue.FairOptions{Cost: [queue.Classes]int{0, 0, -2}}, fifo)),
		"share is 1.5, want 0 to 1":                      one(queue.NewPriority(1.5, queue.NewFIFO(), queue.NewFIFO())),
		"parts is 0, want at least 1":                    one(queue.NewPerCore(0, fifo)),
		"no part today":                                  one(queue.NewPerCore(2, func() (queue.Discipline, error) { return nil, fails })),
	} {
		if err == nil || !strings.Contains(err.Error(), want) || !errors.Is(err, catalog.ErrParam) && !errors.Is(err, fails) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
