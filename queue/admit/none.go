package admit

import (
	"time"

	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/catalog"
)

var noneEntry = catalog.Entry[New]{
	Name:   "none",
	Doc:    "admits everything: the baseline",
	Source: "no admission control",
	New:    func(Config, catalog.Values) (Controller, error) { return NewNone(), nil },
}

// NewNone returns the controller that admits every attempt, the catalog's "none".
func NewNone() Controller { return none{} }

type none struct{}

func (none) Admit(_ time.Duration, items []queue.Item, _ func() int) int { return len(items) }

func (none) Done(time.Duration, *queue.Item, time.Duration, queue.Outcome) {}

// IsNone reports whether c is the controller "none", which admits every attempt.
func IsNone(c Controller) bool {
	_, ok := c.(none)
	return ok
}
