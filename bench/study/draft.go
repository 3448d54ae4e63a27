package study

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/leasestorm/leasestorm/bench/internal/show"
	"github.com/leasestorm/leasestorm/bench/law"
	"github.com/leasestorm/leasestorm/bench/scenario"
	"github.com/leasestorm/leasestorm/queue"
)

// Question is a number that people know of their manager, and that a scenario needs.
type Question struct {
	Flag, Key string // of the command, and of the scenario
	Text      string
	Default   string // "": there is none
}

// Questions are what a draft is made from.
var Questions = []Question{
	{"clients", "leases", "clients that hold a lease, a session or a registration", ""},
	{"interval", "interval", "time between two checks (heartbeats) of a client, as in 20s", ""},
	{"timeout", "timeout", "how long a client waits for an answer before it asks again, as in 1s", ""},
	{"service", "service_time", "how long one worker takes for a check, as in 2ms", ""},
	{"workers", "workers", "workers that serve at the same time: threads, or connections to what is behind", ""},
	{"sigma", "sigma", "how many checks a new lease (a registration, a full sync) costs", "4"},
	{"retry", "retry", "retry policy of the clients", "immediate"},
}

// Check says whether an answer is possible by itself.
func (q Question) Check(answer string) error {
	line, err := q.line(answer)
	if err == nil {
		if q.Key == "service_time" {
			line += "leases = 1\n" // the default's million may be too much work
		}
		_, err = scenario.Parse("answer", []byte(line))
	}
	return placeless(err)
}

// placeless is a scenario's error without its place in a file: nobody has that file.
func placeless(err error) error {
	if err == nil {
		return nil
	}
	_, reason, _ := strings.Cut(err.Error(), scenario.ErrScenario.Error()+": ")
	return fmt.Errorf("%w: %s", scenario.ErrScenario, reason)
}

// line is the answer as a line of a scenario's file.
func (q Question) line(answer string) (string, error) {
	for _, k := range scenario.Keys() {
		if k.Name != q.Key || k.Zero() != any(0) && k.Zero() != any(0.0) {
			continue
		}
		number, ok := scenario.Decimal(answer)
		x, err := strconv.ParseFloat(number, 64)
		if !ok || err != nil {
			return "", scenario.Bad(q.Key, fmt.Sprintf("%q is not a number", answer))
		}
		if x == math.Trunc(x) && math.Abs(x) < 1<<53 {
			number = strconv.FormatInt(int64(x), 10)
		}
		return fmt.Sprintf("%s = %s\n", q.Key, number), nil
	}
	return fmt.Sprintf("%s = %q\n", q.Key, answer), nil
}

// derived are the keys that a draft shows with the values that follow from the answers.
var derived = []string{"broken", "outage", "spread", "ttl", "wait", "delta", "duration", "queue", "admit"}

// Draft is a scenario's file with comments, from an answer to each of the Questions by their keys: what was
// asked, what follows from it, and the keys that were derived. file is the file's name. Errors wrap
// [scenario.ErrScenario].
func Draft(file string, answers map[string]string) (text string, s scenario.Scenario, err error) {
	var asked strings.Builder
	for _, q := range Questions {
		line, err := q.line(answers[q.Key])
		if err != nil {
			return "", s, err
		}
		fmt.Fprintf(&asked, "%s# %s\n", pad(strings.TrimSpace(line)), q.Text)
	}
	if s, err = scenario.Parse(file, []byte(asked.String())); err != nil {
		return "", s, placeless(err)
	}
	facts, err := consequences(&s)
	if err != nil {
		return "", s, err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# A scenario of leasestorm.\n#\n# What follows from your numbers:\n")
	for _, f := range facts {
		fmt.Fprintf(&b, "#   %s\n", f)
	}
	b.WriteString("\n# Your manager.\n" + asked.String())
	b.WriteString("\n# What you were not asked. Each line shows a default. To change one, take out its first # and write your value.\n")
	lines := map[string]string{}
	for line := range strings.Lines(s.TOML()) {
		key, _, _ := strings.Cut(line, " = ")
		lines[key] = strings.TrimSpace(line)
	}
	for _, key := range derived {
		for _, k := range scenario.Keys() {
			if k.Name == key {
				fmt.Fprintf(&b, "%s# %s\n", pad("# "+lines[key]), strings.TrimSpace(k.Doc))
			}
		}
	}
	return b.String(), s, nil
}

// pad lines comments up.
func pad(line string) string { return line + strings.Repeat(" ", max(1, 28-len([]rune(line)))) }

// rounded is a number with thousands, or with three digits if it is small.
func rounded(x float64) string {
	if x < 100 {
		return fmt.Sprintf("%.3g", x)
	}
	return show.Group(x)
}

// consequences are what the numbers of a scenario mean, in lines.
func consequences(s *scenario.Scenario) (facts []string, err error) {
	x, err := scenario.Fit(*s, 1)
	if err != nil {
		return nil, err
	}
	checks := float64(s.Leases) / s.Interval.Seconds()
	capacity := x.Capacity(x.Want)
	whole := *s
	whole.Broken = s.Leases
	all := whole.Beta() // β if all break
	facts = append(facts,
		fmt.Sprintf("ρ = %.3g: %s checks a second take %.3g %% of the workers, which could serve %s a second", x.Rho, rounded(checks), 100*x.Rho, rounded(float64(x.Workers)/x.Want[queue.Check].Seconds())),
		fmt.Sprintf("the spare capacity serves %s new leases in a timeout of %v", rounded(capacity*s.Timeout.Seconds()*(1-x.Rho)), s.Timeout),
		fmt.Sprintf("β = %.3g if a tenth breaks, %.3g if all do: timeouts of spare capacity that the surge costs", all/10, all))
	beta, ok := law.Beta(s)
	switch {
	case !ok:
		facts = append(facts, "the fluid law does not cover this retry policy: leasestorm border measures the surge that the manager survives")
	case beta == nil:
		facts = append(facts, "by the fluid law the manager comes back even if all leases break")
	case *beta > all:
		facts = append(facts, fmt.Sprintf("the border β* = %.3g is above that: by the fluid law the manager comes back even if all leases break", *beta))
	default:
		facts = append(facts, fmt.Sprintf("the border β* = %.3g: by the fluid law the manager never comes back from %s broken leases or more", *beta, show.Group(math.Ceil(*beta/all*float64(s.Leases)))))
	}
	return facts, nil
}
