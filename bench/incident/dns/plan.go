package dns

// Weight is a load balancer's weight in a plan: the name's answers lead to it in proportion.
type Weight struct {
	Balancer int // of the endpoint, from 0 on
	Weight   int // 1 to 255; the balancer's capacity
}

// Planner says what plans hold. A plan is a pure function of seed, endpoint and number, so that none
// has to be kept.
//
// A balancer's capacity goes from one random value to the next along a line, and so about a quarter
// of the weights changes from plan to plan. A balancer is out of health for 64 plans or a multiple,
// one in 25 at a time. All of this is estimated: public is only that most plans were routine changes
// of capacity.
type Planner struct {
	Seed    uint64
	Records int // healthy load balancers of an endpoint, on average
}

// The planner's constants.
const (
	sick      = 25 // one balancer in so many is out of health
	sickPlans = 64 // for at least so many plans
	knot      = 32 // plans between two random values of capacity
	lowest    = 16 // capacity
	spreadCap = 32 // lowest + spreadCap is the highest capacity
)

// Balancers is the number of an endpoint's load balancers, healthy or not.
func (p Planner) Balancers() int { return max(1, (p.Records*sick+(sick-1)/2)/(sick-1)) }

// Weights returns what a plan holds for an endpoint: its healthy load balancers, in order. If none is
// healthy, all are taken for healthy.
func (p Planner) Weights(plan, endpoint int) []Weight {
	all := make([]Weight, 0, p.Balancers())
	none := p.healthy(plan, endpoint) == 0
	for b := range p.Balancers() {
		if none || !p.sick(plan, endpoint, b) {
			all = append(all, Weight{b, p.capacity(plan, endpoint, b)})
		}
	}
	return all
}

// Count is the number of the Weights.
func (p Planner) Count(plan, endpoint int) int {
	if n := p.healthy(plan, endpoint); n > 0 {
		return n
	}
	return p.Balancers()
}

func (p Planner) healthy(plan, endpoint int) (n int) {
	for b := range p.Balancers() {
		if !p.sick(plan, endpoint, b) {
			n++
		}
	}
	return n
}

// sick reports whether a balancer is out of health in a plan.
func (p Planner) sick(plan, endpoint, b int) bool {
	begin := p.draw(1, endpoint, b, 0) % sickPlans // of its spans: they differ from balancer to balancer
	return p.draw(2, endpoint, b, (plan+int(begin))/sickPlans)%sick == 0
}

// capacity is a balancer's capacity in a plan.
func (p Planner) capacity(plan, endpoint, b int) int {
	at := plan + int(p.draw(3, endpoint, b, 0)%knot)
	from, to := p.draw(4, endpoint, b, at/knot)%(spreadCap+1), p.draw(4, endpoint, b, at/knot+1)%(spreadCap+1)
	done := at % knot
	return lowest + (int(from)*(knot-done)+int(to)*done)/knot
}

// draw is a random number that belongs to its arguments (the finalizer of splitmix64).
func (p Planner) draw(what, endpoint, balancer, i int) uint64 {
	h := p.Seed
	for _, x := range [...]int{what<<32 | endpoint, balancer<<32 | i} {
		h += uint64(x) + 0x9e3779b97f4a7c15
		h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
		h = (h ^ h>>27) * 0x94d049bb133111eb
		h ^= h >> 31
	}
	return h
}
