package scenario

import (
	"fmt"
	"strings"
)

// Contest sets the parts that a contestant's name lists: "queue", "queue/admit" or
// "queue/admit/retry", as in "lifo/none/backoff". A part that the name omits is left unchanged.
// Contest does not validate the parts.
func (s *Scenario) Contest(name string) error {
	parts := strings.Split(name, "/")
	if len(parts) > 3 || parts[0] == "" {
		return fmt.Errorf("%w: contestant %q: want queue, queue/admit or queue/admit/retry", ErrScenario, name)
	}
	for i, field := range []*string{&s.Queue, &s.Admit, &s.Retry}[:len(parts)] {
		*field = parts[i]
	}
	return nil
}

// FileName turns a part's reference, such as "slack:theta=0.2", into a piece of a file's name.
func FileName(ref string) string {
	return strings.NewReplacer(":", "-", "=", "", ",", "-", "+", "-", "/", "-").Replace(ref)
}
