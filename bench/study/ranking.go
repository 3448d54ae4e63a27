package study

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/leasestorm/leasestorm/bench/scenario"
	"github.com/leasestorm/leasestorm/queue/admit"
)

// RankContestants is the short list that a ranking has if nothing else is asked for: disciplines,
// controllers and retry policies of all families.
var RankContestants = []string{
	"fifo", "fifo/none/backoff", "lifo", "adaptive-lifo", "bounded", "deadline", "deadline:margin=0", "edf", "edf+deadline", "random", "random:drop=1", "apf", "codel", "codel:exponent=1", "codel-vitess", "coalesce+codel", "controlled-delay", "pie",
	"coalesce+fifo", "cancel+fifo", "fair+fifo", "priority+fifo", "slack",
	"fifo/token-bucket", "fifo/token-bucket/backoff", "fifo/token-bucket/retry-after", "fifo/backlog/retry-after", "fifo/credits/retry-after", "fifo/slow-start/retry-after",
	"fifo/limit", "fifo/concurrency/backoff", "fifo/concurrency+drain/retry-after", "fifo/vegas/backoff", "fifo/gradient2/backoff", "fifo/codel-admit", "fifo/bbr/backoff", "fifo/dagor/backoff", "fifo/breaker",
	"fifo/envoy-admission/backoff", "fifo/envoy-gradient/backoff", "fifo/cinnamon:patience=1s", "fifo/predicted-wait/retry-after", "fifo/partitions",
	"fifo/none/retry-budget", "fifo/none/client-throttle", "fifo/none/client-breaker", "fifo/none/aws-sdk", "fifo/none/mongodb", "fifo/none/finagle-budget", "fifo/none/linkerd-budget", "fifo/none/envoy-budget", "fifo/limit+constant/grpc-pushback",
}

// FairnessContestants are the disciplines of [NewFairness] if no other are asked for.
var FairnessContestants = []string{"fifo", "lifo", "deadline", "slack", "coalesce+fifo", "priority+deadline", "fair+fifo", "fair+deadline", "fair+codel"}

// FullGrid is every queue with every controller and policy that are worth trying together, some
// 540 contestants.
func FullGrid() (all []string) {
	for _, q := range []string{"fifo", "lifo", "deadline", "slack", "coalesce+fifo", "codel", "controlled-delay"} {
		for _, a := range []string{"none", "token-bucket", "backlog", "credits", "slow-start", "limit", "concurrency", "vegas", "gradient2", "codel-admit", "bbr", "dagor", "breaker"} {
			for _, r := range []string{"immediate", "fixed", "backoff", "decorrelated", "retry-after", "retry-budget"} {
				if q == "slack" && (r == "retry-after" || r == "retry-budget") {
					continue // waits so long, or without a bound, break its guard
				}
				all = append(all, q+"/"+a+"/"+r)
			}
		}
	}
	return all
}

// RemedyContestants are what [NewRemedy] switches on, if nothing else is asked for: disciplines,
// and doors and policies with the scenario's own discipline.
func RemedyContestants(s *scenario.Scenario) []string {
	var all []string
	for _, c := range []string{
		"lifo", "deadline", "slack", "coalesce+fifo", "bounded", "controlled-delay", "codel",
		"/token-bucket/retry-after", "/credits/retry-after", "/backlog/retry-after", "/concurrency/backoff", "/" + s.Admit + "/backoff",
		"deadline/token-bucket/retry-after",
	} {
		if c[0] == '/' {
			c = s.Queue + c
		}
		if x, err := contest(*s, c); err == nil && x != *s { // that is on already
			all = append(all, c)
		}
	}
	return all
}

// Own is the scenario's own contestant, with all parts named.
func Own(s *scenario.Scenario) string { return s.Queue + "/" + s.Admit + "/" + s.Retry }

// RetryContestants names the contestants that differ in their retry policy only: of a name that is a
// policy's, the contestant that has it and default parts else.
func RetryContestants(names []string) (all []string) {
	from := scenario.Default()
	for _, name := range names {
		if _, _, err := admit.Retries.Resolve(name); err == nil {
			name = from.Queue + "/" + from.Admit + "/" + name
		}
		all = append(all, name)
	}
	return all
}

// WithOwn puts the scenario's own contestant before the others, if it is not one of them.
func WithOwn(s *scenario.Scenario, contestants []string) []string {
	for _, c := range contestants {
		if x, err := contest(*s, c); err == nil && x == *s {
			return contestants
		}
	}
	return append([]string{Own(s)}, contestants...)
}

// contest is the scenario with the parts of a contestant.
func contest(s scenario.Scenario, c string) (scenario.Scenario, error) {
	if err := s.Contest(c); err != nil {
		return s, err
	}
	return s, s.Validate()
}

// parts are what a contestant sets, each "key=value"; the scenario's own parts are left out.
func parts(s *scenario.Scenario, c string) (set []string, err error) {
	x, err := contest(*s, c)
	if err != nil {
		return nil, err
	}
	for _, p := range [][3]string{{"queue", x.Queue, s.Queue}, {"admit", x.Admit, s.Admit}, {"retry", x.Retry, s.Retry}} {
		if p[1] != p[2] {
			set = append(set, p[0]+"="+p[1])
		}
	}
	return set, nil
}

// distinct refuses a contestant that is named twice, however it is spelled.
func distinct(s *scenario.Scenario, contestants []string) error {
	named := map[scenario.Scenario]string{}
	for _, c := range contestants {
		x, err := contest(*s, c)
		if err != nil {
			return err
		}
		if first, twice := named[x]; twice {
			return fmt.Errorf("%w: contestant %q is the same as %q, and the same runs would count twice: leave one of them out", scenario.ErrScenario, c, first)
		}
		named[x] = c
	}
	return nil
}

// surging refuses a scenario in which nothing has to come back.
func surging(s *scenario.Scenario, what string) error {
	switch {
	case s.Outage == 0:
		return scenario.Bad("outage", what+" needs a return, and there is no outage; set outage")
	case s.Broken == 0 && s.Pause == 0 && s.Slow == 0:
		return scenario.Bad("broken", what+" needs something that goes wrong; set broken, pause or slow")
	}
	return nil
}

// NewRanking lays out the folder of a ranking of contestants by a scenario: queue, queue/admit or
// queue/admit/retry.
func NewRanking(dir string, s scenario.Scenario, contestants []string, how How) error {
	suite, err := ranking("rank", s, contestants, nil)
	if err != nil {
		return err
	}
	return suite.begin(dir, how)
}

// ranking is a suite with a cell for each contestant, or with those that more makes of what the
// contestant sets. name is the verb's.
func ranking(name string, s scenario.Scenario, contestants []string, more func(set []string) [][]string) (Suite, error) {
	suite := Suite{Name: name, Seeds: LeastSeeds, base: &s}
	if err := cmp.Or(surging(&s, name), distinct(&s, contestants)); err != nil {
		return suite, err
	}
	for _, c := range contestants {
		set, err := parts(&s, c)
		if err != nil {
			return suite, err
		}
		sets := [][]string{set}
		if more != nil {
			sets = more(set)
		}
		for _, set := range sets {
			suite.cells = append(suite.cells, contestant{s.Name, set})
		}
	}
	return suite, nil
}

// NewFairness lays out the folder of a comparison of what each zone gets. The surge must be in a
// part of the zones.
func NewFairness(dir string, s scenario.Scenario, contestants []string, how How) error {
	suite, err := ranking("fairness", s, contestants, nil)
	switch {
	case err != nil:
		return err
	case s.SurgeZones == 0 || s.SurgeZones >= s.Zones:
		return scenario.Bad("surge_zones", fmt.Sprintf("the surge is in all %d zones, and nobody is without a part in it; set surge_zones below zones", s.Zones))
	}
	return suite.begin(dir, how)
}

// NewRemedy lays out the folder of a comparison of each contestant in place before the surge with
// the same one switched on after the collapse.
func NewRemedy(dir string, s scenario.Scenario, contestants []string, how How) error {
	after := s.Duration + s.OperatorAt // as long after the switch
	suite, err := ranking("remedy", s, contestants, func(before []string) [][]string {
		then := []string{"operator=switch", "duration=" + after.String()}
		for _, p := range before {
			then = append(then, "then_"+p)
		}
		return [][]string{before, then}
	})
	switch {
	case err != nil:
		return err
	case s.Operator != "none":
		return scenario.Bad("operator", fmt.Sprintf("%q acts already, and a remedy is what the operator switches on; set operator to none", s.Operator))
	}
	for i, c := range suite.cells {
		if len(c.set) == 0 {
			return fmt.Errorf("%w: contestant %q is what the scenario has already, and cannot be switched on: leave it out", scenario.ErrScenario, contestants[i/2])
		}
	}
	return suite.begin(dir, how)
}

// forInstance begins a reason of which others differ in their numbers.
const forInstance = "for instance "

// refusals says in a line for each kind of reason how many cells were refused. Reasons that differ
// in their numbers only are of one kind, whose first is shown.
func refusals(cells []Cell) string {
	counts, first := map[string]int{}, map[string]string{}
	var order []string
	for _, c := range cells {
		kind := strings.Map(func(r rune) rune {
			if r >= '0' && r <= '9' || r == '.' {
				return -1
			}
			return r
		}, c.Refused)
		if counts[kind]++; counts[kind] == 1 {
			order = append(order, kind)
			first[kind] = strings.TrimPrefix(c.Refused, scenario.ErrScenario.Error()+": ")
		} else if !strings.HasSuffix(c.Refused, strings.TrimPrefix(first[kind], forInstance)) {
			first[kind] = forInstance + strings.TrimPrefix(first[kind], forInstance)
		}
	}
	var b strings.Builder
	for _, kind := range order {
		what := "cells"
		if counts[kind] == 1 {
			what = "cell"
		}
		fmt.Fprintf(&b, "%d %s refused: %s\n", counts[kind], what, first[kind])
	}
	return b.String()
}
