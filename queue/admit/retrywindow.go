package admit

import (
	"time"

	"github.com/leasestorm/leasestorm/queue/catalog"
)

// mostSlots is the largest number of slots of a window of retries.
const mostSlots = 11

// retryWindow is a budget of retries for each client, in slots of time. A deposit and a withdrawal
// count while their slot is one of the newest. The balance is the sum of both and the reserve. The
// slots of all clients begin at the same times, where a source's begin with its calls.
type retryWindow struct {
	deposit, withdraw, reserve int64
	slots                      int
	slot                       time.Duration // length of one
	clients                    perClient[windowSlots]
}

type windowSlots struct {
	newest int64
	sum    [mostSlots]int64 // by slot modulo the number of slots
}

// windowParams are the parameters that Finagle and tower share, with their defaults and bounds.
var windowParams = []catalog.Param{
	{Name: "ratio", Unit: "1", Default: 0.2, Min: 0, Max: 1000, Doc: "retries for each deposit"},
	{Name: "reserve", Unit: "per second", Default: 10, Min: 0, Max: 1e6, Doc: "retries without a deposit; all of a ttl may be made in one instant"},
	{Name: "ttl", Unit: catalog.Seconds, Default: 10, Min: 1, Max: 60, Doc: "how long deposits and retries count"},
	clientsParam, pauseParam,
}

// newRetryWindow takes how many tenths of the ttl count.
func newRetryWindow(deposit int64, withdraw float64, slots int, v catalog.Values) retryWindow {
	w := retryWindow{deposit: deposit, withdraw: int64(min(withdraw, 1<<31)), slots: slots, slot: v.Duration("ttl") / 10}
	w.reserve = int64(v.Int("reserve")) * int64(v["ttl"]) * w.withdraw
	w.clients.n = uint32(v.Int("clients"))
	return w
}

// at is the client's window at now.
func (w *retryWindow) at(now time.Duration, droplet uint32) *windowSlots {
	s := w.clients.of(droplet)
	newest := int64(now / w.slot)
	for i := max(s.newest+1, newest-int64(w.slots)+1); i <= newest; i++ {
		s.sum[i%int64(w.slots)] = 0
	}
	s.newest = max(s.newest, newest)
	return s
}

func (w *retryWindow) put(now time.Duration, droplet uint32) {
	s := w.at(now, droplet)
	s.sum[s.newest%int64(w.slots)] += w.deposit
}

// balance is what the client may withdraw.
func (w *retryWindow) balance(now time.Duration, droplet uint32) int64 {
	sum := w.reserve
	for _, x := range w.at(now, droplet).sum {
		sum += x
	}
	return sum
}

// take withdraws a retry if the balance has one.
func (w *retryWindow) take(now time.Duration, droplet uint32) bool {
	if w.balance(now, droplet) < w.withdraw {
		return false
	}
	s := w.clients.of(droplet)
	s.sum[s.newest%int64(w.slots)] -= w.withdraw
	return true
}
