package bench

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leasestorm/leasestorm/bench/host"
	"github.com/leasestorm/leasestorm/bench/record"
)

// choir is a crew in this process. What it says goes through JSON, as between hosts.
type choir struct {
	size   int
	after  func(ends []AgentEnd) // what else happens
	during func(agents []*Agent)
}

func (c choir) Size() int { return c.size }

func (c choir) Play(ctx context.Context, call Call) ([]AgentEnd, error) {
	var agents []*Agent
	for i := range call.Duties {
		var d Duty
		if err := through(&call.Duties[i], &d); err != nil {
			return nil, err
		}
		a, err := NewAgent(ctx, d, nil)
		if err != nil {
			return nil, err
		}
		defer a.Close()
		agents = append(agents, a)
	}
	ends := make([]AgentEnd, c.size)
	errs := make([]error, c.size)
	start := make(chan struct{})
	var all sync.WaitGroup
	var live sync.Mutex
	for i, a := range agents {
		all.Go(func() {
			part, err := a.Run(ctx, func(context.Context) error { <-start; return nil }, func(n *record.News) {
				live.Lock()
				defer live.Unlock()
				var rows []*record.Row
				errs[i] = through(n.Rows, &rows)
				call.Live(i, rows)
			})
			if err == nil {
				var copied Partial
				err = cmp.Or(through(part, &copied), copied.Check())
				ends[i] = AgentEnd{Name: fmt.Sprint("a", i), Host: "here", Partial: &copied, Clocked: true}
			}
			if err != nil {
				errs[i] = err
			}
		})
	}
	close(start)
	call.Began(host.NewClock())
	if c.during != nil {
		c.during(agents)
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	if c.after != nil {
		c.after(ends)
	}
	return ends, ctx.Err()
}

// through sends a value through JSON.
func through(from, to any) error {
	text, err := json.Marshal(from)
	if err == nil {
		err = json.Unmarshal(text, to)
	}
	return err
}

// counting is a service that grants every lease, with the droplets that asked it once the run has begun.
func counting(t *testing.T) (url string, asked func() map[string]int) {
	t.Helper()
	var mu sync.Mutex
	all := map[string]int{}
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		mu.Lock()
		defer mu.Unlock()
		all[r.URL.Path]++
	}))
	t.Cleanup(s.Close)
	return s.URL, func() map[string]int { return all }
}

// One agent, three agents and none make the same run of a service that answers at once: each droplet asks as
// often, and the files, the series and the totals agree.
func TestSpread(t *testing.T) {
	var want map[string]int
	for _, agents := range []int{0, 1, 3} {
		url, asked := counting(t)
		service := serviceAt(t, url, "none", "prime=false", "class.check.path=/check")
		// Who is broken was drawn before the run, and nobody asks twice.
		s := stormy(t, "timeout=10s", "interval=20s", "ttl=60s", "duration=1s", "wait=5s", "launch=0")
		var runner Runner = Target{}
		looks, last := 0, 0
		o := Options{Seed: 7, Target: service, Folder: filepath.Join(t.TempDir(), "run")}
		if agents > 0 {
			runner = Spread{choir{size: agents}}
			o.Live = func(About) func(Look) {
				return func(l Look) {
					if l.Over == "" {
						looks++
						last = l.News.Active
					}
				}
			}
		}
		res, err := runner.Run(t.Context(), s, o)
		if err != nil {
			t.Fatal(err)
		}
		m, err := ReadManifest(t.Context(), res.Folder)
		if err != nil || m.Result.Storm == nil {
			t.Fatal(m, err)
		}
		total := 0
		for _, n := range asked() {
			total += n
		}
		// A call that is out at the end has been seen by the service, and has no end yet.
		if sent := res.Storm.Requests; sent > uint64(total) || sent+2 < uint64(total) || len(res.Storm.Agents) != agents {
			t.Errorf("%d agents: the service saw %d requests, the result says %d by %d agents", agents, total, res.Storm.Requests, len(res.Storm.Agents))
		}
		if res.ActiveEnd != 60 || res.TimeToLease.N != 20 || res.Ended != "duration" {
			t.Errorf("%d agents: %d active in the end, %d of 20 leases came back, ended by %s", agents, res.ActiveEnd, res.TimeToLease.N, res.Ended)
		}
		if agents == 0 {
			want = asked()
			continue
		}
		if looks < 5 || last != 60 {
			t.Errorf("%d agents: %d looks, the last at %d leases", agents, looks, last)
		}
		from := uint32(0)
		for i, a := range res.Storm.Agents {
			if a.Droplets.From != from || a.Requests == 0 {
				t.Errorf("agent %d of %d: %+v", i, agents, a)
			}
			from = a.Droplets.To
		}
		if from != 60 {
			t.Errorf("the ranges end at %d of 60", from)
		}
		for path := range want {
			if path != "/check" && asked()[path] != want[path] {
				t.Errorf("%d agents: %s asked %d times, want %d", agents, path, asked()[path], want[path])
			}
		}
		for path := range asked() {
			if path != "/check" && want[path] == 0 {
				t.Errorf("%d agents: %s asked, and not in the run of one generator", agents, path)
			}
		}
	}
}

// An agent that is lost, cut short, late or off the clock makes the run invalid, and is named.
func TestSpreadInvalid(t *testing.T) {
	url := leaseService(t)
	for name, tt := range map[string]struct {
		crew choir
		want string
	}{
		"lost":  {choir{size: 3, after: func(e []AgentEnd) { e[1].Partial, e[1].Lost = nil, "died" }}, "agent a1 on here died"},
		"clock": {choir{size: 2, after: func(e []AgentEnd) { e[1].Offset = -30 * time.Millisecond }}, "the run clock of agent a1 on here was -30.0 ms off"},
		"error": {choir{size: 2, after: func(e []AgentEnd) { e[0].Error = time.Second }}, "± 1000.0 ms"},
		"blind": {choir{size: 2, after: func(e []AgentEnd) { e[1].Clocked = false }}, "agent a1 on here could not be compared"},
		"late":  {choir{size: 2, after: func(e []AgentEnd) { e[1].Partial.Target.Lag.RecordMany(time.Hour, 1000) }}, "agent a1 on here could not keep up"},
	} {
		t.Run(name, func(t *testing.T) {
			// The timeout is so long that a busy host disturbs nothing.
			s := stormy(t, "timeout=500ms", "interval=4s", "duration=300ms")
			res, err := Spread{tt.crew}.Run(t.Context(), s, Options{Seed: 7, Target: serviceAt(t, url, "refuse", "prime=false")})
			if err != nil {
				t.Fatal(err)
			}
			if res.Valid || res.Verdict != Invalid || !strings.Contains(res.Because, tt.want) {
				t.Errorf("valid %v, because %q; want %q", res.Valid, res.Because, tt.want)
			}
		})
	}
}

// An agent does nothing that only its own host may ask for. Its share of a limit ends the run.
func TestSpreadRefuses(t *testing.T) {
	url := leaseService(t)
	duty := func(outage string, set ...string) Duty {
		s := stormy(t)
		d := Duty{Agents: 2, Scenario: s.TOML(), Seed: 1, Rho: .1, Sigma: 2, Target: *serviceAt(t, url, outage, set...)}
		for i := range d.Service {
			d.Service[i] = time.Millisecond
		}
		return d
	}
	for want, d := range map[string]Duty{
		"runs no command":  duty("exec:true"),
		"calls no hook":    duty(url),
		"connections.ca":   duty("none", "connections.ca=/etc/passwd"),
		"connections.from": duty("none", "connections.from=127.0.0.2"),
		"--i-may-load-this": func() Duty {
			d := duty("none")
			d.Target.Client.URL = "http://192.0.2.1/"
			d.Target.MayLoad = []string{"192.0.2.1"}
			return d
		}(),
		"agent 2 of 2": func() Duty { d := duty("none"); d.Agent = 2; return d }(),
		"service time": func() Duty { d := duty("none"); d.Service[0] = 0; return d }(),
	} {
		if a, err := NewAgent(t.Context(), d, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
			if a != nil {
				a.Close()
			}
		}
	}
	res, err := Spread{choir{size: 2}}.Run(t.Context(), stormy(t), Options{Seed: 7, Target: serviceAt(t, url, "none", "prime=false", "limits.requests=8")})
	if err != nil || res.Valid || !strings.Contains(res.Because, "limits.requests") || res.Storm.Requests > 8 {
		t.Errorf("%v, %+v", err, res)
	}
	for want, n := range map[string]int{"connections.most": 5, "one agent per lease": 61} {
		if _, err := (Spread{choir{size: n}}).Run(t.Context(), stormy(t), Options{Seed: 7, Target: serviceAt(t, url, "none", "prime=false")}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%d agents: %v, want %s", n, err, want)
		}
	}
}
