package lease_test

import (
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
