package table

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/scenario"
	"github.com/leasestorm/leasestorm/lease"
	"github.com/leasestorm/leasestorm/lease/dwfm"
	"github.com/leasestorm/leasestorm/lease/leasetest"
	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/admit"
)

// The processes that keep tables are this program again.
func TestMain(m *testing.M) {
	if slices.Contains(os.Args, serveVerb) {
		if err := serve(context.Background(), os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// member starts etcd for a test and makes it the tables' endpoint.
func member(t *testing.T) {
	t.Helper()
	address, stop, err := startMember(order{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	Endpoint = "http://" + address
	t.Cleanup(func() { Endpoint = ""; stop() })
}

func remote(t *testing.T, ref string, env lease.Env) lease.Remote {
	t.Helper()
	tab, err := lease.Make(ref, env)
	if err != nil {
		t.Fatal(err)
	}
	r := tab.(lease.Remote)
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func maker(ref string) func(env lease.Env) (lease.Remote, error) {
	return func(env lease.Env) (lease.Remote, error) {
		tab, err := lease.Make(ref, env)
		if err != nil {
			return nil, err
		}
		return tab.(lease.Remote), nil
	}
}

func TestEtcdConforms(t *testing.T) {
	member(t)
	leasetest.RunRemote(t, maker("etcd:timeout=20s"), true)
}

func TestGRPCConforms(t *testing.T) { leasetest.RunRemote(t, maker("grpc:timeout=20s"), false) }

// Leases that are not renewed lapse by etcd's clock, once each; those that are renewed stay.
func TestEtcdExpires(t *testing.T) {
	member(t)
	const all, kept = 60, 20
	tab := remote(t, "etcd:timeout=20s", lease.Env{Leases: all})
	ids := make([]lease.ID, all)
	began := time.Now()
	for i := range ids {
		var err error
		if ids[i], err = tab.Grant(0, time.Second, 0); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := tab.Grant(0, time.Second, 0); !errors.Is(err, lease.ErrFull) {
		t.Errorf("one more: %v, want ErrFull", err)
	}
	var ended []lease.ID
	for deadline := time.Now().Add(30 * time.Second); len(ended) < all-kept && time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		renewed := make([]bool, kept)
		if n, err := tab.RenewAll(ids[:kept], 0, time.Second, renewed); n != kept || err != nil || slices.Contains(renewed, false) {
			t.Fatalf("%d of %d renewed: %v", n, kept, err)
		}
		before := len(ended)
		if n := tab.Expire(0, func(id lease.ID) { ended = append(ended, id) }); n != len(ended)-before {
			t.Errorf("Expire says %d and named %d", n, len(ended)-before)
		}
		if took := time.Since(began); len(ended) > 0 && took < leastTTL {
			t.Errorf("leases of %v lapsed after %v", leastTTL, took)
		}
	}
	slices.Sort(ended)
	if want := slices.Sorted(slices.Values(ids[kept:])); !slices.Equal(ended, want) {
		t.Errorf("%d lapsed, want the %d that were not renewed", len(ended), len(want))
	}
	for _, id := range ids[kept:] {
		if err := tab.Renew(id, 0, time.Second); !errors.Is(err, lease.ErrStale) {
			t.Errorf("a lapsed lease was renewed: %v", err)
		}
	}
	if n := tab.Live(); n != kept {
		t.Errorf("%d live, want %d", n, kept)
	}
}

// What etcd cannot do is an error that says so: before anything is asked for, or as a failed call.
func TestEtcdLimits(t *testing.T) {
	for want, env := range map[string]lease.Env{
		"ttl = 2s": {Leases: 1, TTL: 1500 * time.Millisecond}, "ttl = 4s": {Leases: 1, TTL: 3500 * time.Millisecond},
		"leases = 10000": {Leases: 20_000},
	} {
		if _, err := lease.Make("etcd", env); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", env, err, want)
		}
	}
	member(t)
	tab := remote(t, "etcd:timeout=20s", lease.Env{Leases: 1})
	id, err := tab.Grant(0, 5*time.Second, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := tab.Renew(id, 0, 6*time.Second); !errors.Is(err, lease.ErrFailed) || !strings.Contains(err.Error(), "TTL") {
		t.Errorf("renewed for longer than it was granted for: %v", err)
	}
	if err := tab.Renew(id, 0, 5*time.Second); err != nil {
		t.Error(err)
	}
}

// Lost calls fail in the time that they have, and nothing but ErrFailed comes of them.
func TestNobodyAnswers(t *testing.T) {
	mute, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = mute.Close() })
	Endpoint = "http://" + mute.Addr().String()
	t.Cleanup(func() { Endpoint = "" })
	tab := remote(t, "etcd:timeout=50ms", lease.Env{Leases: 1})
	for range 3 { // the slot is free again each time
		if _, err := tab.Grant(0, time.Second, 0); !errors.Is(err, lease.ErrFailed) {
			t.Errorf("a grant: %v, want ErrFailed", err)
		}
	}
	if tab.Live() != 0 {
		t.Errorf("%d live, want 0", tab.Live())
	}
}

// A table whose process dies fails each call, and gives back no lease that it may still hold.
func TestProcessDies(t *testing.T) {
	for _, ref := range []string{"etcd:timeout=300ms,fsync=0", "grpc:timeout=300ms"} {
		t.Run(ref, func(t *testing.T) {
			tab, err := lease.Make(ref, lease.Env{Leases: 2})
			if err != nil {
				t.Fatal(err)
			}
			r := tab.(lease.Remote)
			var id lease.ID
			for range 20 { // a host that is busy may take longer than the timeout
				if id, err = r.Grant(0, time.Minute, 0); err == nil {
					break
				}
			}
			if err != nil {
				t.Fatal(err)
			}
			c, dir := processOf(r), ""
			if dir = c.dir; dir != "" {
				if _, err := os.Stat(dir); err != nil {
					t.Error(err)
				}
			}
			if err := c.cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_, grant := r.Grant(0, time.Minute, 0)
			_, regrant := r.Regrant(id, 0, time.Minute)
			for what, err := range map[string]error{
				"grant": grant, "renew": r.Renew(id, 0, time.Minute), "verify": r.Verify(id, 0), "revoke": r.Revoke(id), "regrant": regrant,
			} {
				if !errors.Is(err, lease.ErrFailed) {
					t.Errorf("%s: %v, want ErrFailed", what, err)
				}
			}
			if n := r.Expire(0, func(lease.ID) {}); n != 0 {
				t.Errorf("%d expired, want none", n)
			}
			if err := r.Close(); err == nil {
				t.Error("the process was killed, and Close does not say so")
			}
			if _, err := os.Stat(dir); dir != "" && !os.IsNotExist(err) {
				t.Errorf("the folder %s is still there: %v", dir, err)
			}
		})
	}
}

func processOf(r lease.Remote) *child {
	if e, ok := r.(*etcdTable); ok {
		return e.child
	}
	return r.(*grpcTable).child
}

// A run on real cores has a verdict with leases of etcd. Threads that spin share a busy host badly: then the
// run is given up.
func TestRun(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	res, err := bench.Real{}.Run(ctx, small(t, "etcd:fsync=0"), bench.Options{Seed: 1})
	if errors.Is(err, context.DeadlineExceeded) {
		t.Skip("this host is too busy for a run in 15 s")
	}
	if err != nil {
		t.Fatal(err)
	}
	if res.Table != "etcd:fsync=0" || res.Verdict == "" || res.Goodput["check"] == 0 {
		t.Errorf("table %s, verdict %q, goodput %v", res.Table, res.Verdict, res.Goodput)
	}
}

// The manager's protocol, with leases of other processes.
func TestManager(t *testing.T) {
	for _, ref := range []string{"etcd:fsync=0,timeout=20s", "grpc:timeout=20s"} {
		t.Run(ref, func(t *testing.T) {
			tab := remote(t, ref, lease.Env{Leases: 3, TTL: time.Minute})
			m, err := dwfm.New(dwfm.Config{Droplets: 2, TTL: time.Minute, Table: tab, Queue: queue.NewFIFO(), Admit: admit.NewNone()})
			if err != nil {
				t.Fatal(err)
			}
			w := m.Worker(0)
			seeded, err := m.Seed(0, time.Second, 1)
			if err != nil {
				t.Fatal(err)
			}
			do := func(what string, class queue.Class, held uint64, want queue.Outcome) uint64 {
				t.Helper()
				var a dwfm.Answer
				w.Complete(0, time.Millisecond, &queue.Item{Timeout: queue.ToMicros(time.Second), Droplet: 1, Class: class, Lease: held}, &a)
				if a.Outcome != want {
					t.Errorf("%s: %v, want %v", what, a.Outcome, want)
				}
				return a.Lease
			}
			do("a check", queue.Check, uint64(seeded), queue.Good)
			do("a launch", queue.Launch, uint64(seeded), queue.Good)
			id := do("an establish", queue.Establish, uint64(seeded), queue.Good)
			do("the same again", queue.Establish, uint64(seeded), queue.Late)
			do("a check under the old lease", queue.Check, uint64(seeded), queue.Late)
			do("a check under the new one", queue.Check, id, queue.Good)
			if m.Live() != 1 || tab.Live() != 1 {
				t.Errorf("%d and %d live, want 1", m.Live(), tab.Live())
			}
		})
	}
}

// Measure ranks tables here and elsewhere, and its figure is there.
func TestMeasure(t *testing.T) {
	rows, err := Measure(t.Context(), Options{Tables: []string{"lockfree", "grpc:timeout=20s", "etcd:fsync=0,timeout=20s"}, Leases: 200, Rounds: 2, Length: 20 * time.Millisecond, Seed: 1, Say: t.Logf})
	if err != nil {
		t.Fatal(err)
	}
	for i := range rows {
		r := &rows[i]
		if r.Lapsed != 200 || r.Expiry <= 0 || r.Batch.PerSecond <= 0 || r.Anew.PerSecond <= 0 || r.Renew.Low > r.Renew.PerSecond || r.Renew.PerSecond > r.Renew.High || r.Verdict == "" {
			t.Errorf("%+v", r)
		}
		if etcd := i == 2; etcd != (r.TTL == 2) { // a second was asked for
			t.Errorf("%s: a least TTL of %v s", r.Table, r.TTL)
		}
	}
	if here, there := rows[0].Renew.PerSecond, rows[1].Renew.PerSecond; here < 10*there {
		t.Errorf("%v renewals a second here and %v in another process", here, there)
	}
	dir := filepath.Join(t.TempDir(), "out")
	if err := write(dir, rows); err != nil {
		t.Fatal(err)
	}
	figure, err := os.ReadFile(filepath.Join(dir, "tables.svg"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range rows {
		if !strings.Contains(string(figure), rows[i].Table) || !strings.Contains(Text(rows), rows[i].Table) {
			t.Errorf("%s is not in the figure or the text", rows[i].Table)
		}
	}
	if err := write(dir, rows); err == nil {
		t.Error("a folder that is there was written over")
	}
}

func TestEndpoints(t *testing.T) {
	for text, ok := range map[string]bool{
		"http://127.0.0.1:2379": true, "http://[::1]:2379/": true, "http://localhost:2379": true,
		"http://10.0.0.1:2379": false, "http://127.0.0.1": false, "127.0.0.1:2379": false, "https://127.0.0.1:2379": false,
		"http://u:p@127.0.0.1:2379": false, "http://127.0.0.1:2379/x": false, "http://example.org:2379": false,
	} {
		if err := allowed(text); (err == nil) != ok {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func small(t *testing.T, ref string, set ...string) scenario.Scenario {
	t.Helper()
	s, err := scenario.Load("surge")
	if err == nil {
		err = s.Set(append([]string{"table=" + ref, "leases=600", "broken=200", "interval=500ms", "ttl=2s", "timeout=100ms", "steady=100ms", "outage=100ms", "duration=1s", "workers=1"}, set...)...)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// In virtual time there is nobody to wait for.
func TestVirtualRefuses(t *testing.T) {
	for _, ref := range []string{"etcd", "grpc"} {
		_, err := bench.Virtual{}.Run(t.Context(), small(t, ref), bench.Options{Seed: 1})
		if !errors.Is(err, scenario.ErrScenario) || !strings.Contains(fmt.Sprint(err), ref) {
			t.Errorf("%s: %v, want it refused by name", ref, err)
		}
	}
	if err := bench.Check(small(t, "etcd", "ttl=2500ms")); err == nil || !strings.Contains(err.Error(), "ttl = 3s") {
		t.Errorf("a ttl of 2.5 s: %v", err)
	}
}
