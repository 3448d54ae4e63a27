package queue_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/queuetest"
)

// script pushes and pops by a small language, one word a step: "c3" pushes a check of
// droplet 3 ("e" establish, "l" launch; "e3z1" in zone 1), "+20" lets 20 ms pass, "?" pops
// one and "??" all. It returns what came out: dropped in brackets.
func script(t *testing.T, ref, steps string) string {
	t.Helper()
	q, err := queue.Make(ref, queuetest.Config)
	if err != nil {
		t.Fatal(err)
	}
	classes := map[byte]queue.Class{'c': queue.Check, 'e': queue.Establish, 'l': queue.Launch}
	name := func(it *queue.Item) string { return fmt.Sprintf("%s%d", it.Class.String()[:1], it.Droplet) }
	var out []string
	now := time.Duration(0)
	for word := range strings.FieldsSeq(steps) {
		switch word[0] {
		case '+':
			d, err := time.ParseDuration(word[1:] + "ms")
			if err != nil {
				t.Fatal(err)
			}
			now += d
		case '?':
			for q.Len() > 0 {
				dst := make([]queue.Item, 1)
				if taken, _ := q.Pop(now, dst); taken == 1 {
					out = append(out, name(&dst[0]))
				} else {
					out = append(out, "["+name(&dst[0])+"]")
				}
				if word == "?" {
					break
				}
			}
		default:
			it := queue.Item{Born: now, Timeout: queue.ToMicros(time.Second), Class: classes[word[0]], LeaseUntil: queue.ToMillis(now + 30*time.Second)}
			if _, err := fmt.Sscanf(word[1:], "%dz%d", &it.Droplet, &it.Zone); err != nil && it.Droplet == 0 {
				t.Fatalf("%s: %v", word, err)
			}
			it.SetOffered(now)
			items := []queue.Item{it}
			if q.Push(now, items) == 0 {
				out = append(out, "["+name(&items[0])+"]")
			}
		}
	}
	return strings.Join(out, " ")
}

func TestScripts(t *testing.T) {
	for _, tt := range []struct{ ref, steps, want string }{
		{"adaptive-lifo", "e1 e2 e3 +50 ? +60 ? ??", "e1 e3 e2"},                       // it stands after 100 ms
		{"adaptive-lifo", "e1 ?? +500 e2 e3 +50 ??", "e1 e2 e3"},                       // it was empty
		{"controlled-delay", "e1 +90 e2 ? +6 ??", "e1 e2"},                             // below the interval nothing is dropped
		{"controlled-delay", "e1 +90 e2 +20 e3 ??", "[e1] [e2] e3"},                    // it stands: 5 ms
		{"controlled-delay", "e1 ?? +500 e2 +90 ??", "e1 e2"},                          // it was empty
		{"edf", "e1 +20 e2 +2000 ??", "e1 e2"},                                         // dead, and served
		{"edf+deadline", "e1 +990 e2 +20 ??", "[e1] e2"},                               // by deadline's rule
		{"slack", "c1 e2 c3 e4 ??", "e2 e4 c1 c3"},                                     // establishes first
		{"slack", "c1 +990 e2 +20 ??", "e2 [c1]"},                                      // what is dead is dropped
		{"coalesce+fifo", "e1 e2 +10 e1 ??", "[e1] e1 e2"},                             // the newest in the old one's place
		{"coalesce+fifo", "e1 c1 e1 ??", "[e1] e1 c1"},                                 // another class is another attempt
		{"coalesce+deadline", "e1 e2 +500 e1 +510 e3 ??", "[e1] e1 [e2] e3"},           // refreshed, so not dead
		{"cancel+fifo", "e1 +990 e2 e3 +20 ??", "[e1] e2 e3"},                          // nobody waits for it any more
		{"cancel+lifo", "e1 +990 e2 +20 e3 ??", "e3 e2 [e1]"},                          // whatever the order
		{"priority:share=0+fifo", "e1 c2 e3 l4 ??", "c2 l4 e1 e3"},                     //
		{"priority:share=0.5+fifo", "e1 c2 e3 l4 ? ? ? ?", "c2 e1 l4 e3"},              // every second turn
		{"priority+lifo", "e1 e2 c3 c4 ??", "c4 c3 e2 e1"},                             //
		{"fair+fifo", "e1z0 e2z0 e3z0 e4z1 ??", "e1 e4 e2 e3"},                         // turn by turn
		{"fair+fifo", "c1z0 c2z0 c3z0 c4z0 c5z0 e6z1 e7z1 ??", "c1 c2 c3 c4 e6 c5 e7"}, // an establish costs four checks
	} {
		if got := script(t, tt.ref, tt.steps); got != tt.want {
			t.Errorf("%s: %s\n got %s\nwant %s", tt.ref, tt.steps, got, tt.want)
		}
	}
}

// A θ that breaks the guard is refused, and both sides are named.
func TestSlackGuard(t *testing.T) {
	cfg := queuetest.Config // τ 1 s, TTL 1 min
	if _, err := queue.Make("slack:theta=0.01", cfg); err == nil || !strings.Contains(err.Error(), "600ms must be above") {
		t.Errorf("theta 0.01: %v", err)
	}
	cfg.MaxWait = 20 * time.Second
	if _, err := queue.Make("slack", cfg); err == nil || !strings.Contains(err.Error(), "1s + 20s = 21s") {
		t.Errorf("a retry wait of 20 s: %v", err)
	}
}

// A check whose lease has less than θ·TTL left goes first.
func TestSlackUrgent(t *testing.T) {
	q, err := queue.Make("slack:theta=0.1", queuetest.Config) // 6 s
	if err != nil {
		t.Fatal(err)
	}
	q.Push(0, []queue.Item{
		{Droplet: 1, Class: queue.Check, Timeout: queue.ToMicros(time.Second), LeaseUntil: queue.ToMillis(7 * time.Second)},
		{Droplet: 2, Class: queue.Establish, Timeout: queue.ToMicros(time.Second)},
		{Droplet: 3, Class: queue.Check, Timeout: queue.ToMicros(time.Second), LeaseUntil: queue.ToMillis(5 * time.Second)},
	})
	dst := make([]queue.Item, 3)
	if taken, _ := q.Pop(0, dst); taken != 3 || dst[0].Droplet != 3 || dst[1].Droplet != 2 || dst[2].Droplet != 1 {
		t.Errorf("%d taken: %v", taken, dst)
	}
}

// Of n turns in which both classes wait, establishes have n·share, to within one turn, from
// the first turn on. Pops that find nothing, or one class alone, are no turns.
func TestPriorityShare(t *testing.T) {
	for _, share := range []float64{0, 1e-300, 0.001, 0.1, 0.25, 0.34, 0.45, 0.5, 0.6, 0.67, 0.7, 0.9, 0.999, 1 - 1.0/(1<<53), 1} {
		q, err := queue.Make(fmt.Sprintf("priority:share=%v+fifo", share), queuetest.Config)
		if err != nil {
			t.Fatal(err)
		}
		check, establish := queue.Item{Class: queue.Check}, queue.Item{Class: queue.Establish}
		dst := make([]queue.Item, 1)
		had := 0.0
		for turn := 1.0; turn <= 1000; turn++ {
			q.Pop(0, dst) // nothing
			for _, it := range []queue.Item{check, establish} {
				q.Push(0, []queue.Item{it})
				if taken, _ := q.Pop(0, dst); taken != 1 || dst[0].Class != it.Class {
					t.Fatalf("share %v: %d taken, a %v, where one %v waits", share, taken, dst[0].Class, it.Class)
				}
			}
			q.Push(0, []queue.Item{check, establish})
			if q.Pop(0, dst); dst[0].Class == queue.Establish {
				had++
			}
			q.Pop(0, dst)
			if math.Abs(had-turn*share) >= 1 {
				t.Fatalf("share %v: of %v turns establishes had %v", share, turn, had)
			}
		}
		if math.Abs(had-1000*share) > 1e-6+math.Mod(1000*share, 1) {
			t.Errorf("share %v: of 1000 turns establishes had %v", share, had)
		}
	}
}
