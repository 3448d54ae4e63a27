package bench

import (
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/leasestorm/leasestorm/bench/engine"
	"github.com/leasestorm/leasestorm/bench/fleet"
	"github.com/leasestorm/leasestorm/bench/host"
	"github.com/leasestorm/leasestorm/bench/scenario"
	"github.com/leasestorm/leasestorm/lease"
)

// room is a budget of so many bytes, of which some are in use.
func room(limit, inUse int64) *budget {
	return &budget{limit: func() int64 { return limit }, inUse: func() int64 { return inUse }}
}

// large is the surge with so many leases, and check intervals that make room for their services.
func large(t *testing.T, leases string, set ...string) *experiment {
	t.Helper()
	s, err := scenario.Load("surge")
	if err == nil {
		err = s.Set(append([]string{"leases=" + leases, "interval=24h", "ttl=25h"}, set...)...)
	}
	if err != nil {
		t.Fatal(err)
	}
	x, err := newExperiment(s, 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// A run that memory cannot hold is refused before it is made, by the key, with both figures.
func TestMemoryIsReserved(t *testing.T) {
	x := large(t, "2147483648")
	_, err := x.reserve(room(16<<30, 0), false)
	if !errors.Is(err, ErrMemory) || scenario.Refused(err) || !strings.Contains(err.Error(), "leases: 2147483648 leases take 128 GiB") || !strings.Contains(err.Error(), "may have 16 GiB: lower leases") {
		t.Errorf("2^31 leases in 16 GiB: %v", err)
	}
	perLease, _, err := x.bytes(false)
	if err != nil {
		t.Fatal(err)
	}
	need := perLease*2147483648 + 100_000*(attemptBytes+itemBytes)
	b := room(need+1<<40, 1<<40)
	release, err := x.reserve(b, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x.reserve(b, false); !errors.Is(err, ErrMemory) {
		t.Errorf("two runs where there is room for one: %v", err)
	}
	release()
	release()
	if again, err := x.reserve(b, false); err != nil || b.promised < need {
		t.Errorf("one run after another: %v, %d promised", err, b.promised)
	} else if again(); b.promised != 0 {
		t.Errorf("%d bytes are promised to nobody", b.promised)
	}
	if _, err := x.reserve(room(need+1<<40-1, 1<<40), false); !errors.Is(err, ErrMemory) {
		t.Errorf("a byte too few: %v", err)
	}
	if _, err := x.reserve(room(need+1<<40, 1<<40), true); !errors.Is(err, ErrMemory) {
		t.Errorf("a real run, with a second manager for its calibration: %v", err)
	}
	if _, err := x.reserve(room(0, 1<<40), true); err != nil {
		t.Errorf("where the limit is unknown: %v", err)
	}
	x = large(t, "10000", "broken=1000", "timeout=1h", "launch=100", "sigma=4", "service_time=10us", "scale=none")
	if _, err := x.reserve(room(1<<30, 0), false); !errors.Is(err, ErrMemory) || !strings.Contains(err.Error(), "launch: ") {
		t.Errorf("launches that outgrow the memory between two looks: %v", err)
	}
}

// What is reckoned for a lease is what tables, manager and fleet say that they hold.
func TestBytesPerLease(t *testing.T) {
	for _, e := range lease.Catalog.List() {
		if e.HostClock {
			continue
		}
		x := large(t, "100000", "broken=0", "outage=0s", "table="+e.Name, "interval=20s", "ttl=60s")
		p, _, err := x.plan(x.Want, 0)
		if err != nil {
			t.Fatal(err)
		}
		perLease, _, err := x.bytes(false)
		if err != nil {
			t.Fatal(err)
		}
		f, ok := p.Source.(*fleet.Fleet)
		if !ok {
			t.Fatal("the source is no fleet")
		}
		m := p.Manager.(interface {
			Table() lease.Table
			Bytes() int64
		})
		got := float64(m.Table().Bytes()+m.Bytes()+f.Bytes()) / 100_000
		if r := float64(perLease-orderBytes) / got; r < 0.9 || r > 1.1 {
			t.Errorf("%s: %d bytes are reckoned for a lease, and %.1f are held", e.Name, perLease, got)
		}
	}
}

// A queue that outgrows the memory ends the run with an error, not the process.
func TestMemoryGuard(t *testing.T) {
	used := int64(0)
	b := &budget{limit: func() int64 { return 1 << 30 }, inUse: func() int64 { used++; return 0 }}
	looks := 0
	g := &memoryGuard{b: b, step: step, next: memoryStep, watch: func(time.Duration, engine.State) bool { looks++; return false }}
	queued := 0
	for i := 0; i < 1000 && !g.Watch(0, engine.State{Queued: queued}); i++ {
		queued += 100_000
	}
	bytes := int64(queued) * itemBytes
	if !errors.Is(g.err, ErrMemory) || !strings.Contains(g.err.Error(), "attempts are queued") || bytes+memoryStep <= 1<<30 || bytes+memoryStep > 1<<30+memoryStep+100_000*itemBytes {
		t.Errorf("it ended at %d attempts: %v", queued, g.err)
	}
	if used > 20 {
		t.Errorf("the memory was looked at %d times in %d", used, looks)
	}
	s := surgeAt(t)
	if _, err := (Virtual{}).Run(t.Context(), s, Options{Seed: 1}); err != nil {
		t.Error(err)
	}
}

// What a process may take is what is free and what it has, and no more than its control group's.
func TestMemoryLimit(t *testing.T) {
	for _, tt := range []struct {
		info  host.Info
		least int64
		most  int64
	}{
		{host.Info{}, 0, 0},
		{host.Info{MemoryFree: 1 << 40}, 1 << 40, 1<<40 + 1<<39},
		{host.Info{MemoryFree: 1 << 40, MemoryMax: 1 << 30}, 1 << 30, 1 << 30},
		{host.Info{MemoryMax: 1 << 30}, 1 << 30, 1 << 30},
	} {
		reads := 0
		now := time.Unix(0, 0)
		limit := memoryLimitOf(func() time.Time { return now }, func() host.Info { reads++; return tt.info })
		for range 3 {
			if got := limit(); got < tt.least || got > tt.most {
				t.Errorf("%d and %d: %d", tt.info.MemoryFree, tt.info.MemoryMax, got)
			}
		}
		now = now.Add(time.Minute)
		if limit(); tt.most > 0 && reads != 2 {
			t.Errorf("read %d times; want once, and again when it is old", reads)
		}
	}
	if runtime.GOOS == "linux" && memory.limit() == 0 {
		t.Error("this host's memory is unknown")
	}
}
