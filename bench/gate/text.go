package gate

import (
	"fmt"
	"strings"

	"github.com/leasestorm/leasestorm/bench/internal/show"
)

// Line is a check in one line.
func (c *Check) Line() string {
	return fmt.Sprintf("%s %s: %s (%s)", c.Experiment, c.Contestant, c.Condition, c.Got)
}

// Text is the report for a terminal.
func (r *Report) Text() string {
	rows := [][]string{{"", "contestant", "requirement", "runs have"}}
	for _, c := range r.Checks {
		rows = append(rows, []string{map[bool]string{true: "ok", false: "FAILED"}[c.Holds], c.Experiment + " " + c.Contestant, c.Condition, c.Got})
	}
	var b strings.Builder
	if len(r.Checks) > 0 {
		b.WriteString(show.Columns(rows))
	}
	for _, line := range r.Invalid {
		fmt.Fprintf(&b, "invalid: %s\n", line)
	}
	for _, line := range r.Problems {
		fmt.Fprintf(&b, "warning: %s\n", line)
	}
	return b.String()
}
