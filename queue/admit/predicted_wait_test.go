package admit

import (
	"testing"
	"time"

	"github.com/leasestorm/leasestorm/queue"
)

// The source's own numbers: peaks, waits by complete batches, and advice.
func TestPredictedWaitLaws(t *testing.T) {
	const s, ms = float64(time.Second), float64(time.Millisecond)
	peak := 100 * ms
	for i, tt := range []struct{ sample, want float64 }{{500, 500}, {0, 400}, {400, 400}, {300, 380}} {
		if peak = peakOf(peak, tt.sample*ms); peak != tt.want*ms {
			t.Errorf("sample %d: peak %g ms, want %g", i, peak/ms, tt.want)
		}
	}
	for _, tt := range []struct{ inFlight, pending, wait float64 }{{3, 0, 0}, {4, 0, 100}, {4, 3, 100}, {4, 5, 200}} {
		of := scope{workers: 4, inside: int64(tt.inFlight + tt.pending), peak: 100 * ms}
		if got := of.wait(); got != tt.wait*ms {
			t.Errorf("%g in service, %g waiting: %g ms, want %g", tt.inFlight, tt.pending, got/ms, tt.wait)
		}
	}
	for _, tt := range []struct {
		inside  int64
		workers float64
		peak    float64 // s
		jitter  int     // basis points
		want    time.Duration
	}{
		{9, 2, 2, 0, 10}, {17, 8, 3, 0, 9}, {1, 1, 40, 2000, 30}, {1, 1, 10, 2000, 12}, {1, 1, 10, -2000, 8}, {0, 1, 9, 0, 1}, {1, 1, 1.3, 0, 2}, {1, 1, 0.1, -2000, 1},
	} {
		of := scope{workers: tt.workers, inside: tt.inside, peak: tt.peak * s}
		if got := advise(of.drain(), tt.jitter); got != tt.want*time.Second {
			t.Errorf("%d inside, %g workers, %g s, jitter %d: told %v, want %d s", tt.inside, tt.workers, tt.peak, tt.jitter, got, tt.want)
		}
	}
	// Nothing is known: a full scope takes the timeout, 5 s·64/1024 and 5 s·8/64.
	c := newPredictedWait(Config{Timeout: 5 * time.Second, Workers: 64}, 0.125, 1024, 1, time.Minute, false, 1)
	if c.all.peak != 312.5*ms || c.zones[3].peak != 312.5*ms {
		t.Errorf("first peaks %g and %g ms, want 312.5", c.all.peak/ms, c.zones[3].peak/ms)
	}
}

// Zone 0 has one in service and three waiting, three others one each, at a limit of 4, 1 a zone. A
// newcomer of zone 4 would be the next in turn. The wrong form counts ⌊7/4⌋ batches of 6 s before it
// and refuses.
func TestPredictedWaitOfItsOwnZone(t *testing.T) {
	for _, tt := range []struct {
		ref       string
		zone      uint8
		timeout   time.Duration
		forever   bool
		admitted  int
		retryFrom time.Duration // of the advice
	}{
		{"predicted-wait:share=0.25", 4, 5 * time.Second, false, 1, 0},
		{"predicted-wait:share=0.25,global=1", 4, 5 * time.Second, false, 0, 9600 * time.Millisecond}, // ⌈7/4⌉·6 s less a fifth
		{"predicted-wait:share=0.25,global=1", 4, 6 * time.Second, false, 1, 0},                       // not longer than 6 s
		{"predicted-wait:share=0.25", 0, 5 * time.Second, false, 0, 19200 * time.Millisecond},         // ⌈4/1⌉·6 s less a fifth
		{"predicted-wait:share=0.25", 0, 24 * time.Second, false, 1, 0},
		{"predicted-wait:share=0.25,within=0.5", 0, 24 * time.Second, false, 0, 19200 * time.Millisecond},
		{"predicted-wait:share=0.25", 0, 0, true, 1, 0},
	} {
		c := make1(t, tt.ref, Config{Timeout: 5 * time.Second, Capacity: 100, Workers: 4}).(*predictedWait)
		for _, zone := range []uint8{0, 0, 0, 0, 1, 2, 3} {
			if c.Admit(0, []queue.Item{{Zone: zone, Timeout: queue.Forever}}, Queued(0)) != 1 {
				t.Fatalf("%s: an attempt without a deadline was refused", tt.ref)
			}
		}
		c.all.peak = 6e9
		for i := range c.zones {
			c.zones[i].peak = 6e9
		}
		it := []queue.Item{{Zone: tt.zone, Timeout: queue.ToMicros(tt.timeout)}}
		if tt.forever {
			it[0].Timeout = queue.Forever
		}
		n := c.Admit(0, it, Queued(0))
		if n != tt.admitted || it[0].RetryAfter() < tt.retryFrom || tt.retryFrom == 0 && it[0].RetryAfter() != 0 {
			t.Errorf("%s, zone %d, %v: %d admitted, told %v", tt.ref, tt.zone, tt.timeout, n, it[0].RetryAfter())
		}
	}
}

// Places to wait are bounded for all zones and for each, and an idle zone begins anew.
func TestPredictedWaitLimits(t *testing.T) {
	c := make1(t, "predicted-wait:share=0.25,depth=0.02,idle=10", Config{Timeout: time.Second, Capacity: 1000, Workers: 4}).(*predictedWait)
	admits := func(zone uint8, want int) []queue.Item {
		items := make([]queue.Item, 30)
		for i := range items {
			items[i] = queue.Item{Zone: zone, Timeout: queue.Forever}
		}
		n := c.Admit(0, items, Queued(0))
		if n != want {
			t.Errorf("zone %d: %d admitted, want %d", zone, n, want)
		}
		return items[:n]
	}
	first := admits(0, 6) // one in service, five waiting
	for zone, want := range []int{6, 6, 6, 0} {
		admits(uint8(zone+1), want) // 24 in all
	}
	for i := range first {
		c.Done(time.Second, &first[i], 200*time.Millisecond, queue.Good)
	}
	if got := c.zones[0].peak; got != 0.8e9 {
		t.Errorf("peak %g ns after services of 0.8 s", got)
	}
	for _, tt := range []struct {
		at   time.Duration
		peak float64
	}{{10999 * time.Millisecond, 0.8e9}, {11 * time.Second, c.firstPeak}} {
		it := []queue.Item{{Born: tt.at, Timeout: queue.Forever}}
		it[0].SetOffered(tt.at)
		c.Admit(tt.at, it, Queued(0))
		if c.zones[0].peak != tt.peak {
			t.Errorf("at %v: peak %g ns, want %g", tt.at, c.zones[0].peak, tt.peak)
		}
		c.Done(time.Second, &it[0], 0, queue.Shed)
	}
}
