package bench

import (
	"testing"

	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/lease"
	"github.com/leasestorm/leasestorm/queue/catalog"
)

// farTables counts the tables "far" that are open, and all that were made.
var farTables struct{ open, made atomic.Int64 }

type farTable struct{ lease.Table }

func (farTable) Close() error { farTables.open.Dec(); return nil }

func init() {
	lease.Catalog.Register(catalog.Entry[lease.New]{Name: "far", HostClock: true, New: func(env lease.Env, _ catalog.Values) (lease.Table, error) {
		t, err := lease.Make("mutex", env)
		farTables.open.Inc()
		farTables.made.Inc()
		return farTable{t}, err
	}})
}

// Tables in other processes are closed when the run is over, whatever made them and however it ends.
func TestRemoteTablesAreClosed(t *testing.T) {
	s := tiny(t, "table=far")
	if _, err := (Real{}).Run(t.Context(), s, Options{Seed: 1}); err != nil {
		t.Fatal(err)
	}
	if err := Check(s); err != nil {
		t.Fatal(err)
	}
	if s.Admit = "no-such"; Check(s) == nil {
		t.Error("a controller that is not there passed")
	}
	if made, open := farTables.made.Load(), farTables.open.Load(); made < 3 || open != 0 {
		t.Errorf("%d tables were made and %d are still open, want 3 or more and 0", made, open)
	}
}
