package scenario

import (
	"fmt"
	"slices"
	"strings"

	"github.com/leasestorm/leasestorm/queue"
)

// Discipline returns the reference of the manager's discipline for a queue of the scenario: the
// queue itself, or around it the wrapper cancel where the manager sees cancellations. The wrapper
// stands inside percore, whose parts the workers must reach.
func (s *Scenario) Discipline(ref string) string {
	if s.CancelSeen == 0 {
		return ref
	}
	refs, at := strings.Split(ref, "+"), 0
	for at < len(refs)-1 && name(refs[at]) == "percore" {
		at++
	}
	return strings.Join(slices.Insert(refs, at, fmt.Sprintf("cancel:seen=%g", s.CancelSeen)), "+")
}

// name is a part's name without its parameters.
func name(ref string) string {
	n, _, _ := strings.Cut(ref, ":")
	return n
}

// checkDiscipline returns an error if the scenario cannot have the queue.
func (s *Scenario) checkDiscipline(ref string) error {
	if err := queue.Validate(ref); err != nil {
		return err
	}
	for part := range strings.SplitSeq(ref, "+") {
		if s.CancelSeen > 0 && name(part) == "cancel" {
			return fmt.Errorf("%s sees cancellations by itself, and cancel_seen = %g would say it again; leave out one of them", ref, s.CancelSeen)
		}
	}
	return queue.Validate(s.Discipline(ref))
}
