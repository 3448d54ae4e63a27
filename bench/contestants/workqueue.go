package main

import (
	"sync"
	"time"

	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/handler"

	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/catalog"
)

func init() {
	queue.Catalog.Register(catalog.Entry[queue.New]{
		Name: "client-go", Doc: "Kubernetes' workqueue, a key a droplet and class: a key that waits is not added again",
		Source: "k8s.io/client-go/util/workqueue v0.37", HostClock: true,
		New: func(queue.Config, catalog.Values) (queue.Discipline, error) {
			q := workqueue.NewTyped[key]()
			return &keyed{q: q, add: q.Add, newest: map[key]queue.Item{}}, nil
		},
	})
	queue.Catalog.Register(catalog.Entry[queue.New]{
		Name: "controller-runtime", Doc: "its priority queue, a key a droplet and class: checks and launches first, and establishes with the priority of an initial list",
		Source: "sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue v0.25", HostClock: true,
		New: func(queue.Config, catalog.Values) (queue.Discipline, error) {
			q := priorityqueue.New[key]("manager")
			return &keyed{q: q, newest: map[key]queue.Item{}, add: func(k key) {
				o := priorityqueue.AddOpts{}
				if k.class == queue.Establish {
					o.Priority = ptr.To(handler.LowPriority)
				}
				q.AddWithOpts(o, k)
			}}, nil
		},
	})
}

type key struct {
	droplet uint32
	class   queue.Class
}

// keyed is the workqueue as a discipline. It keeps keys; what a key stands for is the newest
// attempt, as a controller reads the newest state when it gets to a key.
type keyed struct {
	mu     sync.Mutex
	q      workqueue.TypedInterface[key]
	add    func(key)
	newest map[key]queue.Item // guarded by mu
}

func (q *keyed) Push(_ time.Duration, items []queue.Item) (kept int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range items {
		it := items[i]
		k := key{it.Droplet, it.Class}
		old, waits := q.newest[k]
		q.newest[k] = it
		if !waits {
			items[i], items[kept] = items[kept], it
			kept++
			q.add(k)
			continue
		}
		old.Why = queue.Displaced
		items[i] = old
	}
	return kept
}

func (q *keyed) Pop(_ time.Duration, dst []queue.Item) (taken, dropped int) {
	q.mu.Lock() // or Get could wait for a key that another worker took
	defer q.mu.Unlock()
	for taken < len(dst) && q.q.Len() > 0 {
		k, _ := q.q.Get()
		q.q.Done(k)
		dst[taken] = q.newest[k]
		delete(q.newest, k)
		taken++
	}
	return taken, 0
}

func (q *keyed) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.q.Len()
}
