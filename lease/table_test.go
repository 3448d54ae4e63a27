package lease_test

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leasestorm/leasestorm/lease"
	"github.com/leasestorm/leasestorm/lease/leasetest"
)

// Every table that the catalog knows is held to the suite: a new one needs no edit here.
func TestTables(t *testing.T) {
	for _, e := range lease.Catalog.List() {
		t.Run(e.Name, func(t *testing.T) {
			leasetest.Run(t, func(env lease.Env) (lease.Table, error) { return lease.Make(e.Name, env) })
		})
	}
}

// Cut into as many parts as there may be, and into one.
func TestTablesInParts(t *testing.T) {
	for _, ref := range []string{"sharded:shards=1", "sharded:shards=65536", "lockfree:regions=1", "lockfree:regions=65536"} {
		t.Run(ref, func(t *testing.T) {
			leasetest.Run(t, func(env lease.Env) (lease.Table, error) { return lease.Make(ref, env) })
		})
	}
}

// A table that is made without the catalog is held to the suite, too, and has the catalog's
// parts.
func TestConstructors(t *testing.T) {
	workers := runtime.GOMAXPROCS(0)
	for ref, newTable := range map[string]func(leases int) (lease.Table, error){
		"mutex":            lease.NewMutex,
		"sharded":          func(leases int) (lease.Table, error) { return lease.NewSharded(leases, 0) },
		"sharded:shards=3": func(leases int) (lease.Table, error) { return lease.NewSharded(leases, 3) },
		"lockfree":         func(leases int) (lease.Table, error) { return lease.NewLockFree(leases, 0) },
		"lockfree:regions=3": func(leases int) (lease.Table, error) {
			return lease.NewLockFree(leases, 3)
		},
	} {
		t.Run(ref, func(t *testing.T) {
			leasetest.Run(t, func(env lease.Env) (lease.Table, error) { return newTable(env.Leases) })
			const leases = 1 << 18
			got, err := newTable(leases)
			if err != nil {
				t.Fatal(err)
			}
			want, err := lease.Make(ref, lease.Env{Leases: leases, Workers: workers})
			if err != nil {
				t.Fatal(err)
			}
			if got.Bytes() != want.Bytes() {
				t.Errorf("%d bytes, the catalog's has %d", got.Bytes(), want.Bytes())
			}
		})
	}
}

func TestConstructorsRefuse(t *testing.T) {
	one := func(_ lease.Table, err error) error { return err }
	for want, err := range map[string]error{
		"0 leases":          one(lease.NewMutex(0)),
		"-1 leases":         one(lease.NewSharded(-1, 1)),
		"4294967296 leases": one(lease.NewLockFree(1<<32, 1)),
		"-1 parts":          one(lease.NewSharded(1, -1)),
		"65537 parts":       one(lease.NewLockFree(1, 1<<16+1)),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestMakeRefuses(t *testing.T) {
	for _, tt := range []struct {
		ref    string
		leases int
	}{{"mutex", 0}, {"mutex", -1}, {"mutex", 1 << 32}, {"nosuch", 1}, {"sharded:shards=-1", 1}, {"sharded:locks=2", 1}} {
		if _, err := lease.Make(tt.ref, lease.Env{Leases: tt.leases}); err == nil {
			t.Errorf("%s with %d leases was made", tt.ref, tt.leases)
		}
	}
}

func TestLockFreeBytes(t *testing.T) {
	tab, err := lease.Make("lockfree", lease.Env{Leases: 1_000_000, Workers: 4})
	if err != nil {
		t.Fatal(err)
	}
	if per := float64(tab.Bytes()) / 1e6; per > 10 {
		t.Errorf("%.2f bytes a lease, want at most 10", per)
	}
}

func BenchmarkTable(b *testing.B) {
	const leases = 1_000_000
	for _, e := range lease.Catalog.List() {
		tab, err := lease.Make(e.Name, lease.Env{Leases: leases, Workers: 2})
		if err != nil {
			b.Fatal(err)
		}
		ids := make([]lease.ID, leases)
		for i := range ids {
			if ids[i], err = tab.Grant(0, time.Hour, 0); err != nil {
				b.Fatal(err)
			}
		}
		b.Run("renew/"+e.Name, func(b *testing.B) {
			i, until := 0, 2*time.Hour
			for b.Loop() {
				i = (i + 611_953) % leases
				until += lease.Tick
				if tab.Renew(ids[i], 0, until) != nil {
					b.Fatal("stale")
				}
			}
		})
		b.Run("regrant/"+e.Name, func(b *testing.B) {
			i := 0
			for b.Loop() {
				i = (i + 611_953) % leases
				if ids[i], err = tab.Regrant(ids[i], 0, time.Hour); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("revoke+grant/"+e.Name, func(b *testing.B) {
			i := 0
			for b.Loop() {
				i = (i + 611_953) % leases
				if err := tab.Revoke(ids[i]); err != nil {
					b.Fatal(err)
				}
				if ids[i], err = tab.Grant(0, time.Hour, 0); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("sweep-nothing/"+e.Name, func(b *testing.B) {
			for b.Loop() {
				tab.Expire(time.Second, func(lease.ID) {})
			}
		})
	}
}

// Steady state: all leases renewed every third of a TTL, each at its own phase, with a
// sweep every 10 ms. What matters is the worst call: whoever sweeps serves nobody.
func BenchmarkSteadySweep(b *testing.B) {
	const leases, ttl, tick = 1_000_000, 10 * time.Second, 10 * time.Millisecond
	for _, e := range lease.Catalog.List() {
		b.Run(e.Name, func(b *testing.B) {
			tab, err := lease.Make(e.Name, lease.Env{Leases: leases, Workers: 1})
			if err != nil {
				b.Fatal(err)
			}
			ids := make([]lease.ID, leases)
			for i := range ids {
				if ids[i], err = tab.Grant(0, ttl, 0); err != nil {
					b.Fatal(err)
				}
			}
			rand.New(rand.NewPCG(1, 2)).Shuffle(leases, func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
			perTick := leases / int(ttl/3/tick)
			var times []time.Duration
			next := 0
			for now := tick; now < 4*ttl; now += tick {
				for range perTick {
					if err := tab.Renew(ids[next], now, now+ttl); err != nil {
						b.Fatal(err)
					}
					next = (next + 1) % leases
				}
				start := time.Now()
				if n := tab.Expire(now, func(lease.ID) {}); n > 0 {
					b.Fatalf("%d expired at %v", n, now)
				}
				if now > ttl {
					times = append(times, time.Since(start))
				}
			}
			slices.Sort(times)
			sum := time.Duration(0)
			for _, t := range times {
				sum += t
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(sum.Nanoseconds())/1e3/float64(len(times)), "µs-mean")
			b.ReportMetric(float64(times[len(times)*99/100].Nanoseconds())/1e3, "µs-p99")
			b.ReportMetric(float64(times[len(times)-1].Nanoseconds())/1e3, "µs-worst")
		})
	}
}

// A tenth of the leases, at random places, found and freed in one call.
func BenchmarkMassExpiry(b *testing.B) {
	const leases = 1_000_000
	for _, e := range lease.Catalog.List() {
		b.Run(e.Name, func(b *testing.B) {
			for range b.N {
				b.StopTimer()
				tab, err := lease.Make(e.Name, lease.Env{Leases: leases, Workers: 1})
				if err != nil {
					b.Fatal(err)
				}
				rng := rand.New(rand.NewPCG(1, 2))
				want := 0
				for range leases {
					until := time.Hour
					if rng.IntN(10) == 0 {
						until = time.Second
						want++
					}
					if _, err := tab.Grant(0, until, 0); err != nil {
						b.Fatal(err)
					}
				}
				b.StartTimer()
				if n := tab.Expire(time.Second+2*lease.Tick, func(lease.ID) {}); n != want {
					b.Fatalf("%d expired, want %d", n, want)
				}
			}
		})
	}
}
