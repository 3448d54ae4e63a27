package controllershield

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

// A controller of controller-runtime takes the queue: it finds priorities, and comes again after failures, with
// the limiter's waits, and when a reconciler asks for it.
func TestController(t *testing.T) {
	newQueue, err := NewQueue(Config[reconcile.Request]{})
	if err != nil {
		t.Fatal(err)
	}
	failed, again := false, false
	var mu sync.Mutex
	var seen []string
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c, err := controller.NewUnmanaged("controllershield-test", controller.Options{
		NewQueue: newQueue, SkipNameValidation: new(true),
		Reconciler: reconcile.Func(func(_ context.Context, r reconcile.Request) (reconcile.Result, error) {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, r.Name)
			switch {
			case r.Name == "a" && !failed:
				failed = true
				return reconcile.Result{}, fmt.Errorf("it fails once")
			case r.Name == "a" && !again:
				again = true
				return reconcile.Result{RequeueAfter: time.Millisecond}, nil
			case r.Name == "a":
				cancel()
			}
			return reconcile.Result{}, nil
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	request := func(name string) (r reconcile.Request) { r.Name = name; return r }
	var q *Queue[reconcile.Request]
	err = c.Watch(source.Func(func(_ context.Context, to workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		q = to.(*Queue[reconcile.Request])
		priority := -100
		q.AddWithOpts(priorityqueue.AddOpts{Priority: &priority}, request("b"))
		q.Add(request("a"))
		q.Add(request("a"))
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(ctx); err != nil {
		t.Fatal(err)
	}
	// Start returns when the workers have ended, after what was ready at the shutdown.
	if first := seen[0]; first != "a" || !slices.Equal(slices.Sorted(slices.Values(seen)), []string{"a", "a", "a", "b"}) || !q.ShuttingDown() || q.Len() != 0 {
		t.Errorf("reconciled %v", seen)
	}
}

// The queue's metrics are those of controller-runtime, in its registry: the same steps leave the same counts.
func TestMetrics(t *testing.T) {
	low, high := -100, 5
	drive := func(q priorityqueue.PriorityQueue[string]) {
		q.AddWithOpts(priorityqueue.AddOpts{Priority: &low}, "a", "b", "c", "c")
		q.AddWithOpts(priorityqueue.AddOpts{Priority: &high}, "c")
		q.AddAfter("later", time.Hour)
		q.AddWithOpts(priorityqueue.AddOpts{}, "zero")
		_ = q.Len() // controller-runtime's adds them now
		for _, want := range []string{"c", "zero"} {
			item, _ := q.Get()
			if item != want {
				t.Errorf("got %s, want %s", item, want)
			}
		}
		q.Done("c")
		q.Add("zero")
		_ = q.Len()
	}
	mine, err := New("shield-metrics-1", nil, Config[string]{})
	if err != nil {
		t.Fatal(err)
	}
	theirs := priorityqueue.New[string]("shield-metrics-2")
	drive(mine)
	drive(theirs)
	defer mine.ShutDown()
	defer theirs.ShutDown()
	all, err := metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	of := map[string][]string{}
	for _, family := range all {
		if !strings.HasPrefix(family.GetName(), metrics.WorkQueueSubsystem+"_") {
			continue
		}
		for _, m := range family.GetMetric() {
			name, priority := "", ""
			for _, l := range m.GetLabel() {
				switch l.GetName() {
				case "name":
					name = l.GetValue()
				case "priority":
					priority = " " + l.GetValue()
				}
			}
			value := m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			if strings.Contains(family.GetName(), "seconds") && m.GetHistogram() == nil {
				value = 0 // gauges of time, set twice a second
			}
			of[name] = append(of[name], fmt.Sprint(family.GetName(), priority, " ", value))
		}
	}
	a, b := of["shield-metrics-1"], of["shield-metrics-2"]
	if len(a) < 9 || !slices.Equal(a, b) {
		t.Errorf("ours\n%s\ncontroller-runtime's\n%s", strings.Join(a, "\n"), strings.Join(b, "\n"))
	}
}

// Where controller-runtime's series are others, the error says so and what to do.
func TestOtherMetrics(t *testing.T) {
	opts := prometheus.CounterOpts{Subsystem: metrics.WorkQueueSubsystem, Name: metrics.AddsKey, Help: "another text"}
	var err error
	registered(prometheus.NewCounterVec(opts, []string{"name", "controller"}), &err)
	if err == nil || !strings.Contains(err.Error(), "name a provider") {
		t.Error(err)
	}
}

// A provider of one's own has all of the metrics, and what is unfinished is looked at only while there is some.
func TestOwnMetrics(t *testing.T) {
	p := &provider{}
	q, err := New("x", limiter(), Config[string]{Metrics: p})
	if err != nil {
		t.Fatal(err)
	}
	q.Add("a")
	q.AddRateLimited("b")
	q.Get()
	if p.depth != 0 || p.adds != 1 || p.retries != 1 || p.waited != 1 {
		t.Errorf("%+v", p)
	}
	q.mu.Lock()
	looking := q.looking
	q.mu.Unlock()
	q.Done("a")
	if !looking || p.took != 1 {
		t.Errorf("looking: %t; %+v", looking, p)
	}
	q.ShutDown()
}

type provider struct {
	depth, adds, retries, waited, took float64
}

type instrument struct{ x *float64 }

func (i instrument) Inc()            { *i.x++ }
func (i instrument) Dec()            { *i.x-- }
func (i instrument) Set(x float64)   { *i.x = x }
func (i instrument) Observe(float64) { *i.x++ }

func (p *provider) NewDepthMetric(string) workqueue.GaugeMetric       { return instrument{&p.depth} }
func (p *provider) NewAddsMetric(string) workqueue.CounterMetric      { return instrument{&p.adds} }
func (p *provider) NewRetriesMetric(string) workqueue.CounterMetric   { return instrument{&p.retries} }
func (p *provider) NewLatencyMetric(string) workqueue.HistogramMetric { return instrument{&p.waited} }
func (p *provider) NewWorkDurationMetric(string) workqueue.HistogramMetric {
	return instrument{&p.took}
}
func (p *provider) NewUnfinishedWorkSecondsMetric(string) workqueue.SettableGaugeMetric {
	return instrument{new(float64)}
}
func (p *provider) NewLongestRunningProcessorSecondsMetric(string) workqueue.SettableGaugeMetric {
	return instrument{new(float64)}
}
