package queue

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/leasestorm/leasestorm/queue/catalog"
)

// Hands worked out by hand from the definition, and each a set of different cards.
func TestAPFDeal(t *testing.T) {
	for _, tt := range []struct {
		hash uint64
		deck int
		want []int
	}{{7, 4, []int{3, 1}}, {1000, 8, []int{0, 7, 6}}, {123456789, 64, []int{21, 15, 55, 5, 9, 0}}} {
		hand := make([]int, len(tt.want))
		if apfDeal(hand, tt.hash, tt.deck); !slices.Equal(hand, tt.want) {
			t.Errorf("hash %d, deck %d: %v, want %v", tt.hash, tt.deck, hand, tt.want)
		}
	}
	for hash := range uint64(24) { // each hand of three of four once, in each order
		hand := make([]int, 3)
		apfDeal(hand, hash, 4)
		slices.Sort(hand)
		if len(slices.Compact(hand)) != 3 || hand[2] > 3 {
			t.Errorf("hash %d: %v", hash, hand)
		}
	}
}

var apfConfig = Config{Timeout: time.Second, Workers: 1, Service: [Classes]time.Duration{time.Millisecond, 4 * time.Millisecond, 4 * time.Millisecond}}

func makeAPF(t *testing.T, ref string) *apf {
	t.Helper()
	q, err := Make(ref, apfConfig)
	if err != nil {
		t.Fatal(err)
	}
	return q.(*apf)
}

// flood pushes n attempts of a droplet and returns how many were refused.
func flood(q *apf, now time.Duration, class Class, droplet uint32, n int) (refused int) {
	for range n {
		it := []Item{{Class: class, Droplet: droplet, Born: now, Timeout: ToMicros(time.Second)}}
		if q.Push(now, it) == 0 {
			refused++
		}
	}
	return refused
}

func popOne(t *testing.T, q *apf, now time.Duration) Item {
	t.Helper()
	dst := make([]Item, 1)
	if taken, dropped := q.Pop(now, dst); taken+dropped == 0 {
		t.Fatal("nothing came out")
	}
	return dst[0]
}

// A droplet that floods has its hand of queues and no more, and another one waits for one attempt of
// each of those queues at most.
func TestAPFIsolates(t *testing.T) {
	q := makeAPF(t, "apf")
	if refused := flood(q, 0, Establish, 1, 1000); refused != 700 || q.Len() != 300 {
		t.Errorf("%d of 1000 refused, %d wait; want 700, 300", refused, q.Len())
	}
	for droplet := range uint32(20) {
		flood(q, 0, Establish, 100+droplet, 1)
	}
	quiet := 0
	for range 26 {
		if popOne(t, q, 0).Droplet >= 100 {
			quiet++
		}
	}
	if quiet != 20 {
		t.Errorf("%d of 20 quiet droplets were served in the first 26 turns", quiet)
	}
}

// Levels that wait have their shares of the service, and one that was idle has no claim to what it
// did not use.
func TestAPFShares(t *testing.T) {
	q := makeAPF(t, "apf:check=100,establish=100")
	serve := func(n int) (served [Classes]int) {
		for range n {
			served[popOne(t, q, 0).Class]++
		}
		return served
	}
	for droplet := range uint32(1000) {
		flood(q, 0, Establish, droplet, 1)
	}
	if got := serve(200); got[Establish] != 200 {
		t.Errorf("served %v alone, want 200 establishes", got)
	}
	for droplet := range uint32(1000) {
		flood(q, 0, Check, droplet, 1)
	}
	if got := serve(500); got[Check] < 399 || got[Check] > 401 { // a check is a quarter of the work
		t.Errorf("served %v, want 400 checks and 100 establishes", got)
	}
}

// An attempt waits for a quarter of its time and a minute at most, and one that has makes room.
func TestAPFWaits(t *testing.T) {
	const ms = time.Millisecond
	for _, tt := range []struct {
		timeout, waited time.Duration
		want            bool
	}{
		{time.Second, 250 * ms, false}, {time.Second, 250*ms + 1, true}, {10 * time.Minute, 60 * time.Second, false}, {10 * time.Minute, 60*time.Second + 1, true},
	} {
		it := Item{Timeout: ToMicros(tt.timeout)}
		if got := (&apf{}).Stale(tt.waited, &it); got != tt.want {
			t.Errorf("timeout %v, waited %v: dropped %v, want %v", tt.timeout, tt.waited, got, tt.want)
		}
	}
	if !(&apf{}).Stale(61*time.Second, &Item{Timeout: Forever}) {
		t.Error("an attempt without a deadline waits for longer than a minute")
	}
	q := makeAPF(t, "apf:queues=1,hand=1,length=2")
	if refused := flood(q, 0, Check, 1, 3); refused != 1 {
		t.Errorf("%d of 3 refused by a queue of 2", refused)
	}
	it := []Item{{Droplet: 7, Born: 300 * ms, Timeout: ToMicros(time.Second)}}
	if kept := q.Push(300*ms, it); kept != 0 || it[0].Droplet != 1 || it[0].Why != Expired || q.Len() != 2 {
		t.Errorf("%d kept, given up %+v, %d wait; want the old one given up", kept, it[0], q.Len())
	}
	if got := popOne(t, q, 300*ms); got.Why != Expired {
		t.Errorf("%+v came out, want the other old one dropped", got)
	}
	if got := popOne(t, q, 300*ms); got.Droplet != 7 || got.Why != NotShed {
		t.Errorf("%+v came out, want the new one", got)
	}
	if _, err := Make("apf:queues=4,hand=5", apfConfig); !errors.Is(err, catalog.ErrParam) {
		t.Errorf("a hand of 5 of 4: %v, want a refusal", err)
	}
	if _, err := Make("apf:queues=1024,hand=7", apfConfig); !errors.Is(err, catalog.ErrParam) {
		t.Errorf("70 bits of hash: %v, want a refusal", err)
	}
}
