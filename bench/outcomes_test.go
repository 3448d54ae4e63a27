package bench

import (
	"strings"
	"testing"

	"github.com/leasestorm/leasestorm/bench/internal/show"
	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/admit"
)

// What theory expects of each part at β = 2.67, in the place of the plain one beside a fifo
// with the retry policy given. A part without a line fails the test.
var expected = struct{ queues, wrappers, controllers, estimators, retries map[string]outcome }{
	queues: map[string]outcome{
		"fifo": {collapse, ""}, "fifo-lockfree": {collapse, ""}, // above the border
		"lifo": {recovery, ""}, "lifo-lockfree": {recovery, ""}, // the newest are still waited for
		"adaptive-lifo":    {recovery, ""},
		"bounded":          {recovery, ""}, // half a timeout of queue: what is let in is in time
		"deadline":         {recovery, ""}, // no work for the dead
		"edf":              {collapse, ""}, // the nearest to its deadline is the nearest to being dead
		"codel":            {collapse, ""}, // its drops grow as t/(2·interval²), and nobody slows down
		"codel-vitess":     {recovery, ""}, // they grow as e^(t/interval)
		"controlled-delay": {recovery, ""}, // it drops all that have waited 5 ms
		"pie":              {recovery, ""}, // its probability goes to 1 in a second
		"slack":            {recovery, ""},
		"random":           {recovery, ""}, // whoever is drawn has waited for less than most
		"apf":              {recovery, ""}, // a quarter of a timeout of wait
	},
	wrappers: map[string]outcome{
		"percore": {collapse, ""}, "fair": {collapse, ""}, "priority": {collapse, ""}, // another order of the same dead
		"edf":      {collapse, ""},
		"coalesce": {recovery, ""}, // a place in the line is never dead
		"cancel":   {recovery, ""}, // nor is anybody served that has gone
	},
	controllers: map[string]outcome{
		"none": {collapse, ""}, "token-bucket": {recovery, "backoff"}, "throttle": {recovery, "backoff"}, "concurrency": {recovery, "backoff"}, "backlog": {recovery, "backoff"},
		"gradient2": {recovery, "backoff"}, "limit": {recovery, "immediate"}, "vegas": {recovery, "backoff"}, "codel-admit": {recovery, "immediate"}, "bbr": {recovery, "backoff"},
		"breaker": {recovery, "immediate"}, "slow-start": {recovery, "retry-after"}, "credits": {recovery, "retry-after"},
		// Its threshold moves by a twentieth a window, and at 10^4 droplets a window is a timeout.
		"dagor":           {collapse, "immediate"},
		"envoy-admission": {collapse, "immediate"}, // it lets in √F times what is served of F times as much
		"partitions":      {recovery, "immediate"}, // half a timeout of queue, as with limit
		"predicted-wait":  {recovery, "immediate"}, // whoever would wait for longer than a timeout is sent away
		"cinnamon":        {collapse, "immediate"}, // nothing is refused for ten seconds, and a door cannot evict what waits
		"envoy-gradient":  {recovery, "backoff"},
	},
	estimators: map[string]outcome{ // behind a limit of attempts inside; the clients listen
		"silent": {recovery, "retry-after"}, "constant": {recovery, "retry-after"}, "rate": {recovery, "retry-after"}, "drain": {recovery, "retry-after"}, "appointments": {recovery, "retry-after"},
		"drops": {collapse, "retry-after"}, // all come back together, and again, and again
	},
	retries: map[string]outcome{ // none of them undoes a queue full of dead work in 60 s …
		"immediate": {collapse, ""}, "backoff": {collapse, ""}, "decorrelated": {collapse, ""}, "retry-after": {collapse, ""},
		"client-breaker": {collapse, ""}, "retry-budget": {collapse, ""}, "client-throttle": {collapse, ""}, "aws-sdk": {collapse, ""}, "mongodb": {recovery, ""}, "finagle-budget": {collapse, ""}, "linkerd-budget": {collapse, ""},
		"grpc-pushback": {collapse, ""},
		"envoy-budget":  {recovery, ""}, // a fifth asks again once, and the others come back over ten timeouts
		"fixed":         {recovery, ""}, // … but w = τ moves the border to 2.97, and who gives up pauses for three
	},
}

type outcome struct {
	at    func(Verdict) bool
	retry string
}

func collapse(v Verdict) bool { return v.Lost() }
func recovery(v Verdict) bool { return v == Recovered }

// Every discipline, wrapper, controller and retry policy does above the border what theory
// expects of it, and below it brings everybody back.
func TestEveryPart(t *testing.T) {
	for _, kind := range []struct {
		key           string
		names         []string
		before, after string
		want          map[string]outcome
	}{
		{"queue", queue.Catalog.Names(), "", "", expected.queues}, {"queue", queue.Wrappers.Names(), "", "+fifo", expected.wrappers},
		{"admit", admit.Controllers.Names(), "", "", expected.controllers}, {"admit", admit.Estimators.Names(), "concurrency+", "", expected.estimators},
		{"retry", admit.Retries.Names(), "", "", expected.retries},
	} {
		for _, name := range kind.names {
			want, known := kind.want[name]
			if !known {
				if name != "youngest" && name != hostClock { // the example's, and a test's
					t.Errorf("%s %q: nobody says what is expected of it", kind.key, name)
				}
				continue
			}
			set := []string{kind.key + "=" + kind.before + name + kind.after, "duration=60s"}
			if want.retry != "" {
				set = append(set, "retry="+want.retry)
			}
			t.Run(kind.key+"/"+name, func(t *testing.T) {
				t.Parallel()
				if res := simulate(t, surgeAt(t, set...), Options{Seed: 1}); !want.at(res.Verdict) {
					t.Errorf("above the border: %s, TTR %s", res.Verdict, show.Dash(res.TTR, "%.2f s"))
				}
				below := append(set, "broken=200") // β 0.53
				if res := simulate(t, surgeAt(t, below...), Options{Seed: 1}); res.Verdict != Recovered && res.Verdict != Healthy {
					t.Errorf("below the border: %s", res.Verdict)
				}
			})
		}
	}
}

// One healthy zone beside seven that surge. A door that tests the wait behind the attempts of all
// zones refuses checks of the healthy one, which a queue in turn would have served at once. A door
// that tests the zone's own does not, and neither do short queues of shuffled flows.
func TestHealthyZone(t *testing.T) {
	for _, tt := range []struct {
		queue, admit string
		all          bool // of the healthy zone's attempts are answered in time
	}{
		{"fair+fifo", "predicted-wait:share=0.25,depth=8", true},
		{"fair+fifo", "predicted-wait:share=0.25,depth=8,global=1", false},
		{"apf", "none", true},
		{"fifo", "none", false},
	} {
		res := simulate(t, surgeAt(t, "zones=8", "surge_zones=7", "queue="+tt.queue, "admit="+tt.admit), Options{Seed: 1})
		z := res.Zones[len(res.Zones)-1]
		if z.Good == nil || (*z.Good == 1) != tt.all {
			t.Errorf("%s, %s: a share of %s of the healthy zone's %d attempts is good", tt.queue, tt.admit, show.Dash(z.Good, "%.4f"), z.Asked)
		}
	}
}

// A manager that sees a share p of the cancellations does of the dead work what it would do at a
// cost of 1 − p: the border is at p = 1 − 1/(β − 1) by the batch law, 0.40 at β 2.67. Steady
// load moves it: to between 0.30 and 0.35 for a fifo.
func TestCancelSeen(t *testing.T) {
	for _, tt := range []struct {
		seen string
		at   func(Verdict) bool
	}{{"0", collapse}, {"0.2", collapse}, {"0.45", recovery}, {"1", recovery}} {
		for _, q := range []string{"fifo", "percore+fifo", "edf"} {
			res := simulate(t, surgeAt(t, "queue="+q, "cancel_seen="+tt.seen, "workers=2", "duration=60s"), Options{Seed: 1})
			if !tt.at(res.Verdict) {
				t.Errorf("%s, %s of the cancellations seen: %s", q, tt.seen, res.Verdict)
			}
			if n := res.ShedBy["cancelled"]; (n > 0) != (tt.seen != "0") {
				t.Errorf("%s, %s of the cancellations seen: %d cancelled", q, tt.seen, n)
			}
		}
	}
	s := surgeAt(t, "cancel_seen=0.5")
	whole := simulate(t, surgeAt(t, "cancel_seen=1"), Options{Seed: 1})
	if wrapped := simulate(t, surgeAt(t, "queue=cancel+fifo"), Options{Seed: 1}); *whole.TTR != *wrapped.TTR {
		t.Errorf("TTR %v s with all cancellations seen, %v s with cancel+fifo", *whole.TTR, *wrapped.TTR)
	}
	if err := s.Set("queue=cancel+fifo"); err == nil || !strings.Contains(err.Error(), "leave out one of them") {
		t.Errorf("cancel_seen beside cancel+fifo: %v", err)
	}
}
