package live

// event is one server-sent event: its kind, "" for a step, and its data in JSON.
type event struct {
	kind string
	data []byte
}

// keptEvents is the number of events that a page which is opened late can still get: half an hour of
// one run at a step of 100 ms, some 20 MB.
const keptEvents = 18_000

// history has the latest events. They are numbered from 0.
type history struct {
	events []event
	first  int // number of events[0]
}

func (h *history) add(e event) {
	if h.events = append(h.events, e); len(h.events) >= 2*keptEvents {
		h.first += len(h.events) - keptEvents
		h.events = append([]event(nil), h.events[len(h.events)-keptEvents:]...)
	}
}

// since returns the events from number n on that are kept, and the number of the first of them.
func (h *history) since(n int) (events []event, first int) {
	n = min(max(n, h.first), h.first+len(h.events))
	return h.events[n-h.first:], n
}
