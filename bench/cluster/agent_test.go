package cluster

import (
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/client"
	"github.com/leasestorm/leasestorm/bench/record"
	"github.com/leasestorm/leasestorm/bench/scenario"
)

// granting is a service that grants every lease, and counts.
func granting(t *testing.T) (url string, asked *atomic.Uint64) {
	t.Helper()
	asked = atomic.NewUint64(0)
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		asked.Inc()
	}))
	t.Cleanup(s.Close)
	return s.URL + "/lease", asked
}

// tinyStorm is a storm of two seconds, whose timeout is so long that a busy host disturbs nothing.
var tinyStorm = []string{"leases=60", "broken=20", "timeout=2s", "interval=40s", "ttl=120s", "steady=200ms", "outage=200ms", "spread=100ms", "duration=1500ms"}

func tinyScenario(t *testing.T) scenario.Scenario {
	t.Helper()
	s, err := scenario.Load("surge")
	if err == nil {
		err = s.Set(tinyStorm...)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func asks(t *testing.T, url, outage string) *bench.Service {
	t.Helper()
	s := &bench.Service{Client: client.Default(), Outage: outage}
	s.Client.URL = url
	if err := s.Client.Set("connections.most=12", "prime=false"); err != nil {
		t.Fatal(err)
	}
	return s
}

// served is an embedded server for a test.
func served(t *testing.T) link {
	t.Helper()
	e, err := embedding{listen: "127.0.0.1:0"}.start(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.stop)
	return e.link
}

// serving has agents in this process until the test ends. shift moves the clock of the last one.
func serving(t *testing.T, l link, n int, shift func() time.Duration) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	var all sync.WaitGroup
	t.Cleanup(all.Wait)
	t.Cleanup(stop)
	for i := range n {
		began := time.Now()
		now := func() time.Duration { return time.Since(began) }
		if i == n-1 && shift != nil {
			now = func() time.Duration { return time.Since(began) + shift() }
		}
		all.Go(func() {
			if err := serveRuns(ctx, l, nil, now, t.Logf); err != nil {
				t.Errorf("agent %d: %v", i, err)
			}
		})
	}
}

func mustered(t *testing.T, l link, n int) *crew {
	t.Helper()
	c, err := muster(t.Context(), l, n, 20*time.Second, t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.close)
	return c
}

// One agent and three make the same totals of a run, however far their clocks are apart.
func TestAgents(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 3} {
		url, asked := granting(t)
		l := served(t)
		serving(t, l, n, func() time.Duration { return time.Hour })
		looks := 0
		res, err := bench.Spread{Crew: mustered(t, l, n)}.Run(t.Context(), tinyScenario(t), bench.Options{
			Seed: 7, Target: asks(t, url, "none"),
			Live: func(bench.About) func(bench.Look) {
				return func(k bench.Look) {
					if k.News != nil {
						looks++
					}
				}
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		s := res.Storm
		// A call that is out at the end has been seen by the service, and has no end yet.
		if len(s.Agents) != n || s.Requests > asked.Load() || s.Requests+2 < asked.Load() || res.TimeToLease.N != 20 || res.ActiveEnd != 60 || looks < 5 {
			t.Errorf("%d agents: %d in the result, %d requests of %d, %d of 20 leases back, %d active, %d looks", n, len(s.Agents), s.Requests, asked.Load(), res.TimeToLease.N, res.ActiveEnd, looks)
		}
		for _, a := range s.Agents {
			if a.Lost != "" || a.Offset == nil || *a.Offset > 1000 || *a.Offset < -1000 || a.Wall == nil {
				t.Errorf("%d agents: %+v", n, a)
			}
		}
		if !res.Valid {
			t.Logf("%d agents: invalid: %s", n, res.Because) // a busy host
		}
	}
}

// An agent whose clock steps between the comparison and the start begins at another instant: the run is
// invalid and names it.
func TestAgentsClockSteps(t *testing.T) {
	t.Parallel()
	url, _ := granting(t)
	l := served(t)
	questions := atomic.NewInt64(0)
	// The clock is read twice per question. The comparison before the run has 40 of them.
	serving(t, l, 2, func() time.Duration {
		if questions.Inc() > 2*exchanges {
			return -700 * time.Millisecond
		}
		return 0
	})
	res, err := bench.Spread{Crew: mustered(t, l, 2)}.Run(t.Context(), tinyScenario(t), bench.Options{Seed: 7, Target: asks(t, url, "none")})
	if err != nil {
		t.Fatal(err)
	}
	off := 0
	for _, a := range res.Storm.Agents {
		if a.Offset == nil || *a.Offset < -300 || *a.Offset > 300 {
			off++
			if !strings.Contains(res.Because, "the run clock of agent "+a.Name) {
				t.Errorf("invalid because %q: want agent %s", res.Because, a.Name)
			}
		}
	}
	if res.Valid || off != 1 {
		t.Errorf("valid %v, %d agents off: %+v", res.Valid, off, res.Storm.Agents)
	}
}

// An agent that is killed in a run is named. The others end at once, and are there for the next run.
func TestAgentKilled(t *testing.T) {
	t.Parallel()
	url, _ := granting(t)
	l := served(t)
	ctx, stop := context.WithCancel(context.Background())
	var all sync.WaitGroup
	t.Cleanup(all.Wait)
	t.Cleanup(stop)
	all.Go(func() {
		if err := processes(ctx, "agent", 3, "", asked{Link: l}, t.Logf); err != nil {
			t.Error(err)
		}
	})
	c := mustered(t, l, 3)
	victim := c.agents[1]
	s := tinyScenario(t)
	s.Duration = 5 * time.Minute // the run ends long before
	var once sync.Once
	began := time.Now()
	res, err := bench.Spread{Crew: killing{c, func() {
		once.Do(func() {
			if err := syscall.Kill(victim.PID, syscall.SIGKILL); err != nil {
				t.Error(err)
			}
		})
	}}}.Run(t.Context(), s, bench.Options{Seed: 7, Target: asks(t, url, "refuse")})
	if err != nil {
		t.Fatal(err)
	}
	if res.Valid || !strings.Contains(res.Because, "agent "+victim.Name) || !strings.Contains(res.Because, "silent") || res.Ended != "agent" {
		t.Errorf("valid %v, because %q, ended by %s; want agent %s", res.Valid, res.Because, res.Ended, victim.Name)
	}
	for _, a := range res.Storm.Agents {
		if (a.Lost != "") != (a.Name == victim.Name) || a.Name != victim.Name && a.Requests == 0 {
			t.Errorf("%+v", a)
		}
	}
	if took := time.Since(began); took > 2*time.Minute {
		t.Errorf("the run ended after %v", took)
	}
	again := mustered(t, l, 3) // the third is a new process
	for _, a := range again.agents {
		if a.Name == victim.Name {
			t.Errorf("the killed agent is there again: %+v", a)
		}
	}
}

// killing is a crew that does something once the run goes on.
type killing struct {
	*crew
	do func()
}

func (k killing) Play(ctx context.Context, p bench.Call) ([]bench.AgentEnd, error) {
	live := p.Live
	p.Live = func(agent int, rows []*record.Row) {
		live(agent, rows)
		k.do()
	}
	return k.crew.Play(ctx, p)
}

// Agents that nobody coordinates any more end their part.
func TestAgentsAlone(t *testing.T) {
	t.Parallel()
	url, asked := granting(t)
	l := served(t)
	serving(t, l, 1, nil)
	c := mustered(t, l, 1)
	s := tinyScenario(t)
	s.Duration = 5 * time.Minute
	ctx, cut := context.WithCancel(t.Context())
	go func() {
		for asked.Load() == 0 && ctx.Err() == nil {
			time.Sleep(10 * time.Millisecond)
		}
		cut() // the coordinator stops the agents when it is interrupted
		c.close()
	}()
	if _, err := (bench.Spread{Crew: c}).Run(ctx, s, bench.Options{Seed: 7, Target: asks(t, url, "none")}); err == nil {
		t.Error("an interrupted run has a result")
	}
	mustered(t, l, 1) // waits until it is free
}

// What an agent will not do is an error before the run, and names the agent.
func TestAgentRefuses(t *testing.T) {
	t.Parallel()
	l := served(t)
	serving(t, l, 1, nil)
	c := mustered(t, l, 1)
	s := tinyScenario(t)
	for want, change := range map[string]func(d *bench.Duty){
		"--i-may-load-this": func(d *bench.Duty) { d.Target.Client.URL = "http://192.0.2.1/" },
		"runs no command":   func(d *bench.Duty) { d.Target.Outage = "exec:true" },
	} {
		d := bench.Duty{Agents: 1, Scenario: s.TOML(), Seed: 1, Rho: .1, Sigma: 2, Target: *asks(t, "http://127.0.0.1:1/", "none")}
		for i := range d.Service {
			d.Service[i] = time.Millisecond
		}
		change(&d)
		if err := c.ask(t.Context(), 0, askDuty, order{"x", d}, time.Minute); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), c.agents[0].Name) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if err := c.ask(t.Context(), 0, askStart, time.Duration(1), time.Second); err == nil || !strings.Contains(err.Error(), "no part") {
		t.Errorf("a start without a part: %v", err)
	}
	if _, err := muster(t.Context(), l, 2, 0, t.Logf); err == nil || !strings.Contains(err.Error(), "agents wanted: 2, free: 1") {
		t.Errorf("%v", err)
	}
}

// Of two clocks with any offset and delays, the estimate is off by its error at most.
func TestWeigh(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 10_000 {
		offset := time.Duration(rng.Int64N(int64(time.Hour))) - time.Hour/2
		t0 := time.Duration(rng.Int64N(int64(time.Hour)))
		there, work, back := time.Duration(rng.Int64N(1e7)), time.Duration(rng.Int64N(1e7)), time.Duration(rng.Int64N(1e7))
		r := weigh(t0, t0+there+work+back, stamps{Got: t0 + there + offset, Sent: t0 + there + work + offset})
		if d := (r.Offset - offset).Abs(); d > r.Error+1 || (r.At-(t0+there)).Abs() > r.Error+1 {
			t.Fatalf("offset %v is found as %v ± %v, read at %v and not %v", offset, r.Offset, r.Error, r.At, t0+there)
		}
	}
}

// The verb splits a storm over agents of its own, and refuses what does not go together.
func TestStormAgents(t *testing.T) {
	t.Parallel()
	url, _ := granting(t)
	dir := t.TempDir()
	args := []string{"storm", url, "surge", "--local-agents", "2", "--json", "--out", "x", "--outage", "refuse", "--call", "connections.most=8"}
	for _, set := range tinyStorm {
		args = append(args, "--set", set)
	}
	cmd, errs := command(t.Context(), t, dir, args...)
	out, _ := cmd.Output()
	var res struct {
		Target struct{ Agents []bench.AgentReport }
	}
	if status := cmd.ProcessState.ExitCode(); status != 0 && status != 4 {
		t.Fatalf("status %d: %s", status, errs)
	}
	if err := json.Unmarshal(out, &res); err != nil || len(res.Target.Agents) != 2 {
		t.Errorf("%v, %s%s", err, out, errs)
	}
	l := served(t)
	token := filepath.Join(dir, "token")
	if err := os.WriteFile(token, []byte(l.Token), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, more := range map[string][]string{
		"name the server of the others": {"--agents", "3", "--local-agents", "1"},
		"agents wanted: 1, free: 0":     {"--agents", "1", "--cluster", l.URL, "--cluster-token", token, "--agents-wait", "0s"},
		"name the number of agents":     {"--cluster", "embed"},
		"connections.ca":                {"--local-agents", "1", "--call", "connections.ca=/etc/ssl/x.pem"},
	} {
		cmd, errs := command(t.Context(), t, dir, append([]string{"storm", url, "surge", "--out", "none", "--leases", "60", "--broken", "20"}, more...)...)
		_ = cmd.Run()
		if cmd.ProcessState.ExitCode() == 0 || !strings.Contains(errs.String(), want) {
			t.Errorf("%v: status %d, %s; want %s", more, cmd.ProcessState.ExitCode(), errs, want)
		}
	}
}
