package fleet

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/leasestorm/leasestorm/lease/dwfm"
	"github.com/leasestorm/leasestorm/queue"
)

// A launch is attempted at once after each time-out, until an attempt is good or the tries are used up. What
// is refused or fails is heard of at the time-out.
func TestLaunchTries(t *testing.T) {
	for tries := range 6 {
		cfg := config(3, 0)
		cfg.Launches, cfg.LaunchTries = 40, tries
		f := newFleet(t, cfg)
		const rest, stop = 10 * sec, 20 * sec
		users := map[time.Duration]int{} // attempts that were made, by the birth of the next one
		rng := rand.New(rand.NewPCG(7, uint64(tries)))
		first, again := 0, 0
		for now := time.Duration(0); now < stop+rest; now += sec / 100 {
			if now == stop {
				f.SetLaunches(now, 0)
			}
			items := drain(f, now)
			for i := range items {
				it := &items[i]
				if it.Class != queue.Launch {
					f.Answers(now, good(now, it, 0))
					continue
				}
				made, known := users[it.Born]
				if delete(users, it.Born); known != (it.Try > 0) || int(it.Try) != made {
					t.Fatalf("%d tries: %+v, and %d attempts were made before it", tries, it, made)
				}
				if it.Try == 0 {
					first++
				} else if again++; it.Born >= stop+time.Duration(max(1, tries))*sec {
					t.Errorf("%d tries: an attempt at %v", tries, it.Born)
				}
				switch made++; rng.IntN(4) {
				case 0:
					f.Answers(now, []dwfm.Answer{{Born: it.Born, Droplet: it.Droplet, Class: queue.Launch, Outcome: queue.Good}})
					continue
				case 1:
					f.Refused(now, items[i:i+1])
				case 2:
					f.Answers(now, []dwfm.Answer{{Born: it.Born, Droplet: it.Droplet, Class: queue.Launch, Outcome: queue.Failed}})
				}
				if made < tries {
					users[it.Born+cfg.Timeout] = made
				}
			}
			for due := range users {
				if due <= now {
					t.Fatalf("%d tries: at %v nothing came that was due at %v", tries, now, due)
				}
			}
		}
		if len(users) > 0 || first < 700 || (again > 0) != (tries > 1) || len(f.launch.asked) > 0 {
			t.Errorf("%d tries: %d users are not done, %d first attempts, %d others, %d notes", tries, len(users), first, again, len(f.launch.asked))
		}
	}
}

// Even launches keep their distance, from a phase on that the seed draws.
func TestLaunchesEven(t *testing.T) {
	phases := map[time.Duration]bool{}
	for seed := range uint64(20) {
		cfg := config(10, 0)
		cfg.Launches, cfg.LaunchesEven, cfg.Seed = 50, true, seed
		f := newFleet(t, cfg)
		var births []time.Duration
		for now := time.Duration(0); now < sec; now += sec / 100 {
			for _, it := range drain(f, now) {
				if it.Class == queue.Launch {
					births = append(births, it.Born)
				}
			}
		}
		for i, born := range births {
			if i > 0 && born-births[i-1] != 20*time.Millisecond {
				t.Errorf("seed %d: launches at %v and %v", seed, births[i-1], born)
			}
		}
		if len(births) < 49 || births[0] >= 20*time.Millisecond {
			t.Errorf("seed %d: %d launches in a second, the first at %v", seed, len(births), births[0])
		}
		phases[births[0]] = true
	}
	if len(phases) < 19 {
		t.Errorf("%d phases of 20 seeds", len(phases))
	}
}
