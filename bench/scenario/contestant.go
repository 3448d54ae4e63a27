package scenario

import (
	"fmt"
	"strings"
)

// Contest sets what a contestant's name says: queue, queue/admit or queue/admit/retry.
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

// FileName is a part's reference as a piece of a file's name.
func FileName(ref string) string {
	return strings.NewReplacer(":", "-", "=", "", ",", "-", "+", "-", "/", "-").Replace(ref)
}
