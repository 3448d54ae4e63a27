package incident

import (
	"slices"
	"strconv"
	"strings"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/incident/dependency"
	"github.com/leasestorm/leasestorm/bench/incident/dns"
	"github.com/leasestorm/leasestorm/bench/incident/operator"
	"github.com/leasestorm/leasestorm/bench/scenario"
)

// Layers are the single changes that the table of counterfactuals tries.
var Layers = append(dnsLayers(), []Layer{
	{"--queue deadline", "expired attempts are dropped", func(c *Config) error { c.Manager.Queue = "deadline"; return nil }},
	{"--queue lifo", "the newest attempt first", func(c *Config) error { c.Manager.Queue = "lifo"; return nil }},
	{"--queue codel", "drops by the delay of the queue", func(c *Config) error { c.Manager.Queue = "codel"; return nil }},
	{"--admit backlog", "the announced remedy: a rate limit by the length of the queue", func(c *Config) error { c.Manager.Admit = "backlog"; return nil }},
	{"--admit token-bucket", "a fixed rate limit", func(c *Config) error { c.Manager.Admit = "token-bucket"; return nil }},
	{"--lb velocity", "a limit on what fail-over removes", func(c *Config) error { c.Balancer.Velocity = true; return nil }},
	{"--lb fail-over-off", "no automatic zone fail-over", func(c *Config) error { c.Balancer.FailOverOff = true; return nil }},
	{"--static-stability", "services go on with the last known answer", func(c *Config) error { c.Options.StaticStability = true; return nil }},
	{"--break-circles", "no circular dependencies", func(c *Config) error { c.Options.BrokenCircle = true; return nil }},
	{"--regions 2", "clients can go to another region", func(c *Config) error { c.Options.Regions = 2; return nil }},
	{"--client since-2026", "the SDK's retries of November 2026", func(c *Config) error { c.Client.Retries = dependency.Since; return nil }},
	{"--hedge", "two look-ups with caches of their own", func(c *Config) error { c.Client.Hedge = true; return nil }},
	{"--runbook early", "the managers are throttled and restarted half an hour after the name's return", func(c *Config) (err error) {
		c.Runbook, err = operator.Load("early")
		return err
	}},
	{"--runbook none", "nobody touches the managers", func(c *Config) (err error) {
		c.Runbook, err = operator.Load("none")
		return err
	}},
}...)

func dnsLayers() (all []Layer) {
	for _, m := range dns.Mends {
		all = append(all, Layer{"--dns-mend " + m.Name, m.Doc, func(c *Config) error { c.DNS.Mends |= m.Mend; return nil }})
	}
	return all
}

// changed names what is not as on the day, as the flags that set it.
func (c *Config) changed() (all []string) {
	add := func(is bool, words ...string) {
		if is {
			all = append(all, words...)
		}
	}
	def := dns.Default()
	add(c.DNS.Mends != 0, "--dns-mend", c.DNS.Mends.String())
	add(c.DNS.RaceAt == 0, "--race", "drawn")
	add(c.DNS.Cause != def.Cause, "--delay", string(c.DNS.Cause))
	add(c.DNS.Form != def.Form, "--clean-up", string(c.DNS.Form))
	add(c.DNS.Keep != def.Keep, "--keep", strconv.Itoa(c.DNS.Keep))
	add(c.Manager.Queue != "fifo", "--queue", c.Manager.Queue)
	add(c.Manager.Admit != "none", "--admit", c.Manager.Admit)
	add(c.Manager.Retry != "immediate", "--retry", c.Manager.Retry)
	add(c.Balancer.Velocity, "--lb", "velocity")
	add(c.Balancer.FailOverOff, "--lb", "fail-over-off")
	add(c.Options.StaticStability, "--static-stability")
	add(c.Options.BrokenCircle, "--break-circles")
	add(c.Options.Regions == 2, "--regions", "2")
	add(c.Client.Retries == dependency.Since, "--client", string(c.Client.Retries))
	add(c.Client.Hedge, "--hedge")
	add(c.Client.CloseAt > 0, "--evacuate", operator.Clock(c.Client.CloseAt))
	add(c.Client.Failure != dependency.Empty, "--failure", string(c.Client.Failure))
	add(c.Runbook.Name != "day", "--runbook", c.Runbook.Name)
	return all
}

// Changed reports whether a replay differs from the day as it was in more than size and seed.
func (c *Config) Changed() bool { return len(c.changed()) > 0 }

// AsItWas returns the day without what is changed, at the same size and seed.
func (c *Config) AsItWas() (Config, error) {
	was, err := Default()
	base := was.Manager
	was.Seed, was.Partitions, was.Progress, was.Manager = c.Seed, c.Partitions, c.Progress, c.Manager
	was.Manager.Queue, was.Manager.Admit, was.Manager.Retry = base.Queue, base.Admit, base.Retry
	return was, err
}

// command is the shell command that makes the replay again, in its folder.
func (c *Config) command() string {
	words := []string{"leasestorm", "incident"}
	base, err := scenario.Load("incident")
	if err != nil {
		panic(err) // it is built in
	}
	for _, set := range c.Manager.Differences(&base) {
		words = append(words, "--set", set)
	}
	words = append(words, "--partitions", strconv.Itoa(c.Partitions), "--seed", strconv.FormatUint(c.Seed, 10))
	own := *c
	if c.Runbook.Name != "day" && !slices.Contains(operator.Names(), c.Runbook.Name) {
		own.Runbook.Name = "runbook.toml"
	}
	own.Manager = base // its keys are set above
	words = append(words, own.changed()...)
	for i, w := range words {
		words[i] = bench.ShellWord(w)
	}
	return strings.Join(words, " ")
}
