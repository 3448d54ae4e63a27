package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"github.com/leasestorm/leasestorm/bench/incident/dependency"
	"github.com/leasestorm/leasestorm/bench/incident/dns"
	"github.com/leasestorm/leasestorm/bench/incident/live/client"
	"github.com/leasestorm/leasestorm/bench/incident/live/dnsserver"
	"github.com/leasestorm/leasestorm/bench/incident/live/dynamo"
	"github.com/leasestorm/leasestorm/bench/incident/live/enactors"
	"github.com/leasestorm/leasestorm/bench/incident/operator"
	"github.com/leasestorm/leasestorm/bench/metrics"
	"github.com/leasestorm/leasestorm/bench/scenario"
)

// config is what a run is asked for.
type config struct {
	Seconds  int
	Seed     uint64
	Mend     string
	Metrics  string
	DNS      string
	DynamoDB string
	Clients  int
	Rate     float64
	Retries  string // the SDK's

	Leases   int // 0: no manager
	Queue    string
	Admit    string
	Retry    string
	Workers  int
	Operator string // time of the day, or none
	NoWait   bool
}

func defaults() config {
	d := scenario.Default()
	return config{
		Seed: 1, Mend: "none", DNS: "127.0.0.1:0", Clients: 64, Rate: 100, Retries: string(dependency.Before),
		Leases: d.Leases, Queue: d.Queue, Admit: d.Admit, Retry: d.Retry, Operator: "04:14",
	}
}

// dayLength is how much of the day is replayed: with the manager, until its leases are back.
func (c *config) dayLength() time.Duration {
	if c.Leases > 0 {
		return 7*time.Hour + 15*time.Minute
	}
	return 3*time.Hour + 30*time.Minute
}

// length is the length of the run in seconds.
func (c *config) length() int {
	switch {
	case c.Seconds > 0:
		return c.Seconds
	case c.Leases > 0:
		return 180
	}
	return 60
}

// speed is how many times the day's speed the run has.
func (c *config) speed() float64 { return c.dayLength().Seconds() / float64(c.length()) }

// Times of the day's clock, since 23:30 PDT of 19 October 2025.
const (
	mendAt = 2*time.Hour + 55*time.Minute // 02:25, public
	offAt  = mendAt - time.Minute
)

// replayed are the client's times in the replay, and automation is the DNS automation's: the live run
// has both.
var replayed, automation = dependency.Default(), dns.Default()

const (
	zoneName = "leasestorm.test."
	endpoint = "dynamodb.us-east-1." + zoneName
	keyName  = "enactor."
	secret   = "bGVhc2VzdG9ybS1lbmFjdG9y" // of a zone that no other host can reach
)

func (c *config) validate() (dns.Config, error) {
	d := automation
	d.Seed = c.Seed
	switch {
	case c.Seconds != 0 && (c.Seconds < 10 || c.Seconds > 3600):
		return d, usageError{fmt.Errorf("--seconds %d: want 10 to 3600", c.Seconds)}
	case c.Mend != "none" && c.Mend != "fencing":
		return d, usageError{fmt.Errorf("--dns-mend %q: want none or fencing; the other mends are in leasestorm incident", c.Mend)}
	case c.Clients < 1 || c.Clients > 1000:
		return d, usageError{fmt.Errorf("--clients %d: want 1 to 1000", c.Clients)}
	case !(c.Rate >= 1 && c.Rate <= 5000):
		return d, usageError{fmt.Errorf("--rate %g: want 1 to 5000 checks per second", c.Rate)}
	case c.Retries != string(dependency.Before) && c.Retries != string(dependency.Since):
		return d, usageError{fmt.Errorf("--client %q: want %s or %s", c.Retries, dependency.Before, dependency.Since)}
	case c.Leases < 0:
		return d, usageError{fmt.Errorf("--leases %d: want 0 for no manager, or a number of leases", c.Leases)}
	}
	for flag, addr := range map[string]string{"--listen": c.Metrics, "--dns": c.DNS} {
		if _, err := metrics.Loopback(addr); addr != "" && err != nil {
			return d, usageError{fmt.Errorf("%s: %w", flag, err)}
		}
	}
	if c.Mend == "fencing" {
		d.Mends = dns.Fencing
	}
	return d, nil
}

// live is a run with everything that it has started.
type live struct {
	cfg      config
	speed    float64 // of the day's clock
	began    time.Time
	names    *dnsserver.Server
	store    *dynamo.Store // nil: another endpoint
	wire     *enactors.Wire
	sample   *client.Sample
	system   *dns.System
	mirror   *enactors.Mirror
	registry *metrics.Registry
	say      func(text string)
	sum      *summary
	manager  *manager // nil: there is none
	watched  *indicators
	looks    int64 // of the run itself at the name
	empty    int64 // of these, those that found nothing
}

// wall is a time of the day's clock as a time of this host.
func (l *live) wall(day time.Duration) time.Duration {
	return time.Duration(float64(day) / l.speed)
}

// day is the day's time now.
func (l *live) day() time.Duration {
	return time.Duration(float64(time.Since(l.began)) * l.speed)
}

// tell puts a line on the timeline.
func (l *live) tell(day time.Duration, what string) {
	l.sum.Timeline = append(l.sum.Timeline, moment{l.wall(day).Seconds(), operator.ClockSeconds(day), what})
	l.say(fmt.Sprintf("%8.2f s  %s  %s", l.wall(day).Seconds(), operator.ClockSeconds(day), what))
}

// run makes one run. When it returns, all that it has started has ended.
func run(ctx context.Context, cfg config, say func(string)) (*summary, error) {
	model, err := cfg.validate()
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	l := &live{cfg: cfg, say: say, speed: cfg.speed(), registry: metrics.New(), sum: &summary{Seconds: cfg.length(), Seed: cfg.Seed, Mend: cfg.Mend, Client: cfg.Retries}}
	l.watched = &indicators{usual: model.UsualWalk()}
	if cfg.Leases > 0 {
		if l.manager, err = newManager(&cfg); err != nil {
			return nil, err
		}
	}
	l.sum.Compression = l.speed
	if l.system, err = dns.New(model); err != nil {
		return nil, err
	}
	if l.names, err = dnsserver.Listen(ctx, dnsserver.Config{Addr: cfg.DNS, Zones: []string{zoneName}, Keys: map[string]string{keyName: secret}}); err != nil {
		return nil, err
	}
	defer l.names.Close()
	where, ips, ended, err := l.open(ctx)
	if err != nil {
		return nil, err
	}
	defer ended()
	l.wire = &enactors.Wire{Server: l.names.Addr(), Zone: zoneName, Key: keyName, Secret: secret, TTL: 1}
	if l.mirror, err = enactors.NewMirror(ctx, l.wire, model.Rules, []string{endpoint, "fips." + endpoint, "dual." + endpoint}, ips, func(e enactors.Event) { l.tell(e.At, e.What) }); err != nil {
		return nil, err
	}
	checks := client.Config{
		DNS: l.names.Addr(), URL: where, Allowed: ips, Table: "leasestorm-leases",
		TTL: l.wall(replayed.TTL), NegativeTTL: l.wall(replayed.NegativeTTL), Lifetime: l.wall(replayed.Lifetime), Retries: dependency.Retries(cfg.Retries),
	}
	if l.manager != nil {
		// One manager has one resolver: its droplets find the name again at the same time.
		checks.Names = new(client.Names)
	}
	if err := prepare(ctx, checks, cfg.DynamoDB); err != nil {
		return nil, err
	}
	l.sample = client.NewSample(checks, cfg.Clients, cfg.Rate)
	if cfg.Metrics != "" {
		l.names.Metrics(l.registry)
		if l.store != nil {
			l.store.Metrics(l.registry)
		}
		l.sample.Metrics(l.registry)
		l.metrics()
		s, err := l.registry.Listen(ctx, cfg.Metrics)
		if err != nil {
			return nil, err
		}
		defer s.Close()
		l.say("metrics at http://" + s.Addr() + "/metrics")
	}
	host, port, _ := net.SplitHostPort(l.names.Addr())
	l.say(fmt.Sprintf("%.0f times the day's speed; ask the name server by: dig @%s -p %s %s", l.speed, host, port, endpoint))
	if l.manager == nil {
		l.began = time.Now()
		return l.through(ctx)
	}
	m := l.manager
	m.sample, m.names = l.sample, checks.Names
	m.start(ctx, cfg.Seed, say)
	defer func() { stop(); <-m.ended }()
	select {
	case l.began = <-m.started:
		return l.through(ctx)
	case <-m.ended:
		if scenario.Refused(m.err) {
			return nil, usageError{m.err}
		}
		return nil, m.err
	}
}

// through goes through the day, whose clock has begun.
func (l *live) through(ctx context.Context) (*summary, error) {
	l.sample.Start(ctx)
	defer l.sample.Close()
	if err := l.replay(ctx); err != nil {
		return nil, err
	}
	if m := l.manager; m != nil {
		<-m.ended
		if m.err != nil {
			return nil, m.err
		}
	}
	l.finish()
	return l.sum, nil
}

// open starts the store, or finds where another endpoint is. ips are the addresses that the name
// gets.
func (l *live) open(ctx context.Context) (where url.URL, ips []netip.Addr, ended func(), err error) {
	bare := endpoint[:len(endpoint)-1]
	if l.cfg.DynamoDB == "" {
		l.store = dynamo.NewStore()
		s, err := dynamo.Listen(ctx, l.store, 0, "127.0.0.1")
		if err != nil {
			return where, nil, nil, err
		}
		return url.URL{Scheme: "http", Host: net.JoinHostPort(bare, strconv.Itoa(s.Port()))}, []netip.Addr{netip.MustParseAddr("127.0.0.1")}, s.Close, nil
	}
	u, err := url.Parse(l.cfg.DynamoDB)
	if err != nil || u.Scheme != "http" || u.Hostname() == "" {
		return where, nil, nil, usageError{fmt.Errorf("--dynamodb %q: want http://HOST:PORT", l.cfg.DynamoDB)}
	}
	port := u.Port()
	if port == "" {
		port = "80"
	}
	// The user named this host. It is resolved once, here, and no other host is.
	ips, err = net.DefaultResolver.LookupNetIP(ctx, "ip4", u.Hostname())
	if err != nil {
		return where, nil, nil, fmt.Errorf("--dynamodb: %w", err)
	}
	for i := range ips {
		ips[i] = ips[i].Unmap()
	}
	return url.URL{Scheme: "http", Host: net.JoinHostPort(bare, port), Path: u.Path}, ips, func() {}, nil
}

// prepare checks that the endpoint is DynamoDB, and makes the table.
func prepare(ctx context.Context, cfg client.Config, named string) error {
	cfg.Timeout = 10 * time.Second
	c := client.New(cfg)
	defer c.Close()
	if err := client.Probe(ctx, c); err != nil {
		if named == "" {
			return err
		}
		return fmt.Errorf("--dynamodb %s is not DynamoDB: %w", named, err)
	}
	return client.Make(ctx, c)
}

// replay goes through the day, a step every few milliseconds.
func (l *live) replay(ctx context.Context) error {
	hands := []dns.Hand{{At: offAt, Off: true}, {At: mendAt}}
	// Beside a manager the run looks at the name less often: both share the processors.
	every, lines, end := 5*time.Millisecond, 15*time.Minute, l.cfg.dayLength()
	if l.manager != nil {
		every, lines = 20*time.Millisecond, 5*time.Minute
		for _, at := range l.manager.acts {
			defer time.AfterFunc(time.Until(l.began.Add(at)), func() { l.watched.acts.Inc() }).Stop()
		}
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	next := time.Duration(0) // of the lines that come at regular times
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		now := min(l.day(), end)
		if err := l.mirror.Run(ctx, l.system, now, hands); err != nil {
			return err
		}
		for len(hands) > 0 && hands[0].At < now {
			hands = hands[1:]
		}
		ips, err := l.wire.Addresses(ctx, endpoint)
		if err != nil {
			return err
		}
		l.look(now, len(ips))
		l.observe(now)
		if now >= next {
			next += lines
			l.state(now)
		}
		if now >= end {
			return nil
		}
	}
}
