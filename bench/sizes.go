package bench

import (
	"github.com/leasestorm/leasestorm/bench/fleet"
	"github.com/leasestorm/leasestorm/lease"
)

// Size is the memory of one thing, in bytes.
type Size struct {
	What  string  `json:"what"`
	Bytes float64 `json:"bytes"`
}

// Sizes measures the bytes per lease of each lease table in this process, and lists the bytes per droplet of the
// manager and of the fleet.
func Sizes() ([]Size, error) {
	const leases = 100_000
	var all []Size
	for _, e := range lease.Catalog.List() {
		if e.HostClock { // it has its leases elsewhere
			continue
		}
		t, err := lease.Make(e.Name, lease.Env{Leases: leases, Workers: 1})
		if err != nil {
			return nil, err
		}
		all = append(all, Size{"a lease in table " + e.Name, float64(t.Bytes()) / leases})
	}
	return append(all,
		Size{"a droplet's lease as the manager knows it", 8},
		Size{"a droplet in the fleet, and 12 for each of its timers and 36 for an attempt that is out", float64(fleet.BytesPerDroplet)}), nil
}
