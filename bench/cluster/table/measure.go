package table

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/scenario"
	"github.com/leasestorm/leasestorm/lease"
	"github.com/leasestorm/leasestorm/queue"
)

// Row is what was measured of one table. Rates are medians over the rounds, for one caller.
type Row struct {
	Table   string        `json:"table"`
	Rounds  int           `json:"rounds"`
	Renew   Rate          `json:"renew"`       // one renewal a call
	Batch   Rate          `json:"renew_by_64"` // leases renewed, 64 a call
	Anew    Rate          `json:"regrant"`     // an establish after a loss
	TTL     float64       `json:"least_ttl_s"` // least life of a lease that the table keeps
	Lapsed  int           `json:"lapsed"`      // leases that lapsed at one moment
	Expiry  float64       `json:"expiry_s"`    // from their deadline until the last has ended
	Rho     float64       `json:"rho"`         // share of capacity that the checks of the surge take
	Beta    float64       `json:"beta"`        // of the surge
	TTR     *float64      `json:"ttr_s"`       // of the surge; nil: it does not recover
	Verdict bench.Verdict `json:"verdict"`
}

// Rate is calls a second: the median over the rounds, and the extremes.
type Rate struct {
	PerSecond float64 `json:"per_second"`
	Low       float64 `json:"low"`
	High      float64 `json:"high"`
}

func rateOf(samples []float64) Rate {
	s := slices.Sorted(slices.Values(samples))
	return Rate{s[len(s)/2], s[0], s[len(s)-1]}
}

// Options configure [Measure].
type Options struct {
	Tables []string      // references in lease.Catalog
	Leases int           // in each table; all of them lapse at once in the end
	Rounds int           // measurements of each rate, interleaved with the others
	Length time.Duration // of one measurement
	Seed   uint64
	Say    func(format string, args ...any)
}

// Tables are what Measure measures by default.
var Tables = []string{"lockfree", "sharded", "mutex", grpcName, "etcd:fsync=0", etcdName}

// The surge whose TTR is computed. A table that costs nothing makes ρ a quarter and β 2.7.
const (
	surgeInterval = 5 * time.Second
	surgeTTL      = 15 * time.Second
	surgeBroken   = 0.4
	batch         = 64
)

// Measure measures lease tables side by side, one caller at a time. The error is that of ctx if it was
// interrupted, or that of a table.
func Measure(ctx context.Context, o Options) (rows []Row, err error) {
	if len(o.Tables) == 0 || o.Leases < batch || o.Rounds < 1 || o.Length <= 0 {
		return nil, fmt.Errorf("tables: %d tables, %d leases, %d rounds of %v: want at least one table, %d leases, one round and a length above 0", len(o.Tables), o.Leases, o.Rounds, o.Length, batch)
	}
	subjects := make([]*subject, len(o.Tables))
	for i, ref := range o.Tables {
		o.Say("%s: granting %d leases", ref, o.Leases)
		if subjects[i], err = newSubject(ref, o.Leases); err != nil {
			return nil, fmt.Errorf("table %s: %w", ref, err)
		}
		defer subjects[i].close()
	}
	rng := rand.New(rand.NewPCG(o.Seed, 1))
	order := slices.Clone(subjects)
	for round := range o.Rounds {
		o.Say("round %d of %d", round+1, o.Rounds)
		rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, s := range order {
			for work := range s.rates {
				if err := ctx.Err(); err != nil {
					return nil, err
				}
				if err := s.race(work, o.Length); err != nil {
					return nil, fmt.Errorf("table %s: %w", s.ref, err)
				}
			}
		}
	}
	for _, s := range subjects {
		o.Say("%s: all leases lapse", s.ref)
		r := Row{Table: s.ref, Rounds: o.Rounds, Renew: rateOf(s.rates[0]), Batch: rateOf(s.rates[1]), Anew: rateOf(s.rates[2])}
		if err := s.lapse(ctx, &r); err != nil {
			return nil, fmt.Errorf("table %s: %w", s.ref, err)
		}
		if err := r.surge(ctx, o.Leases, o.Seed); err != nil {
			return nil, fmt.Errorf("table %s: %w", s.ref, err)
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// subject is a table that is measured.
type subject struct {
	ref   string
	tab   lease.Table
	ids   []lease.ID
	next  int
	now   time.Duration // rises, so that each renewal moves a deadline
	turns int           // calls between two looks at the clock
	rates [3][]float64
}

// measured is the life of leases while rates are measured. None lapses.
const measured = time.Hour

func newSubject(ref string, leases int) (*subject, error) {
	tab, err := lease.Make(ref, lease.Env{Leases: leases, Workers: 1})
	if err != nil {
		return nil, err
	}
	s := &subject{ref: ref, tab: tab, ids: make([]lease.ID, leases), turns: batch}
	if _, ok := tab.(lease.Remote); ok {
		s.turns = 1
	}
	for i := range s.ids {
		if s.ids[i], err = tab.Grant(0, measured, 0); err != nil {
			s.close()
			return nil, err
		}
	}
	return s, nil
}

func (s *subject) close() {
	if r, ok := s.tab.(lease.Remote); ok {
		_ = r.Close()
	}
}

// race measures one rate once.
func (s *subject) race(work int, length time.Duration) error {
	began, n := time.Now(), 0
	for {
		s.now += lease.Tick
		for range s.turns {
			s.next = (s.next + 61) % (len(s.ids) - batch + 1)
			var err error
			switch id := &s.ids[s.next]; work {
			case 0:
				err = s.tab.Renew(*id, s.now, s.now+measured)
				n++
			case 1:
				var k int
				k, err = s.tab.RenewAll(s.ids[s.next:s.next+batch], s.now, s.now+measured, nil)
				n += k
			default:
				*id, err = s.tab.Regrant(*id, s.now, s.now+measured)
				n++
			}
			if err != nil {
				return err
			}
		}
		if took := time.Since(began); took >= length {
			s.rates[work] = append(s.rates[work], float64(n)/took.Seconds())
			return nil
		}
	}
}

// lapse gives all leases the same deadline and waits until the table has ended all of them.
func (s *subject) lapse(ctx context.Context, r *Row) error {
	e, own := s.tab.(*etcdTable)
	life := lease.Tick
	r.TTL = lease.Tick.Seconds()
	if own { // they must all be there before the first lapses
		life = leastTTL + wholeSeconds(time.Duration(2*float64(len(s.ids))/r.Anew.Low*1e9))
		least, err := e.leastGranted()
		if err != nil {
			return err
		}
		r.TTL = least.Seconds()
	}
	for i := range s.ids {
		if err := ctx.Err(); err != nil {
			return err
		}
		var err error
		if s.ids[i], err = s.tab.Regrant(s.ids[i], s.now, s.now+life); err != nil {
			return err
		}
	}
	n, err := s.tab.RenewAll(s.ids, s.now, s.now+life, nil)
	if err != nil {
		return err
	}
	if n < len(s.ids) {
		return fmt.Errorf("%d of %d leases of %v had lapsed before the last was granted: measure with fewer --leases", len(s.ids)-n, len(s.ids), life)
	}
	if !own {
		began := time.Now()
		r.Lapsed = s.tab.Expire(s.now+life, func(lease.ID) {})
		r.Expiry = time.Since(began).Seconds()
		return nil
	}
	deadline := time.Now().Add(life)
	for e.Live() > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		r.Lapsed += e.Expire(0, func(lease.ID) {})
		time.Sleep(10 * time.Millisecond)
	}
	r.Expiry = time.Since(deadline).Seconds()
	return nil
}

// leastGranted is the life that etcd gives a lease that was asked for with a second.
func (t *etcdTable) leastGranted() (time.Duration, error) {
	ctx, cancel := t.call()
	defer cancel()
	got, err := t.leases.LeaseGrant(ctx, &pb.LeaseGrantRequest{TTL: 1})
	if err != nil {
		return 0, failed("LeaseGrant", err)
	}
	_, _ = t.leases.LeaseRevoke(ctx, &pb.LeaseRevokeRequest{ID: got.GetID()}) // or it lapses
	return time.Duration(got.GetTTL()) * time.Second, nil
}

// surge computes what becomes of a surge in virtual time, whose services take as long as the measured calls
// and the attempt's own work together.
func (r *Row) surge(ctx context.Context, leases int, seed uint64) error {
	broken := int(surgeBroken * float64(leases))
	s, err := scenario.Load("surge")
	if err == nil {
		err = s.Set(fmt.Sprintf("leases=%d", leases), fmt.Sprintf("broken=%d", broken), fmt.Sprintf("interval=%v", surgeInterval),
			fmt.Sprintf("ttl=%v", surgeTTL), "workers=1", "queue=deadline", "duration=60s")
	}
	if err != nil {
		return err
	}
	fitted, err := scenario.Fit(s, 1)
	if err != nil {
		return err
	}
	service := fitted.Want
	service[queue.Check] += time.Duration(1e9 / r.Renew.PerSecond)
	service[queue.Establish] += time.Duration(1e9 / r.Anew.PerSecond)
	service[queue.Launch] = service[queue.Establish] // there are none
	r.Rho = float64(leases) * service[queue.Check].Seconds() / surgeInterval.Seconds()
	r.Beta = float64(broken) * service[queue.Establish].Seconds() / fitted.Timeout.Seconds() / (1 - r.Rho)
	if r.Rho >= 1 { // the checks alone are more than it can carry
		r.Beta, r.Verdict = 0, bench.Collapsed
		return nil
	}
	res, err := bench.Virtual{Service: service}.Run(ctx, s, bench.Options{Seed: seed})
	if err != nil {
		return err
	}
	r.TTR, r.Verdict = res.TTR, res.Verdict
	return nil
}
