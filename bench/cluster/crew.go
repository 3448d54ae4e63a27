package cluster

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/host"
	"github.com/leasestorm/leasestorm/cmd/leasestorm/cli"
)

// crew are the agents of a coordinator's runs.
type crew struct {
	agents    []card
	nc, clock *nats.Conn
	js        jetstream.JetStream
	now       func() time.Duration // mono
	having    context.Context      // until the local agents cannot be started; nil: there are none
}

// either is ctx, until another context is done.
func either(ctx, other context.Context) (context.Context, context.CancelFunc) {
	if other == nil {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(other, cancel)
	return ctx, func() { stop(); cancel() }
}

// because is err, or why a context was ended that err comes from.
func because(ctx context.Context, err error) error {
	if ctx != nil && ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return context.Cause(ctx)
	}
	return err
}

// musterQuietly is how long agents are awaited before a line says so: local ones have only just begun.
const musterQuietly = 3 * time.Second

// muster connects to a server and waits until there are n agents of this version without a part. It
// gives up after wait.
func muster(ctx context.Context, l link, n int, wait time.Duration, say func(format string, args ...any)) (_ *crew, err error) {
	began := time.Now()
	c := &crew{now: func() time.Duration { return time.Since(began) }}
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	if c.nc, c.js, err = l.connect("leasestorm storm", false); err != nil {
		return nil, err
	}
	if c.clock, _, err = l.connect("leasestorm storm clock", false); err != nil {
		return nil, err
	}
	for told := false; ; {
		all, err := call(ctx, c.nc, time.Second/2)
		if err != nil {
			return nil, err
		}
		free := slices.DeleteFunc(slices.Clone(all), func(a card) bool { return a.Busy || a.Build != buildID() })
		if len(free) >= n {
			c.agents = free[:n]
			return c, nil
		}
		missing := fmt.Sprintf("agents wanted: %d, free: %d%s", n, len(free), unfit(all))
		if time.Since(began) > wait {
			return nil, fmt.Errorf("%s after %v: start 'leasestorm-cluster agent --cluster URL' on the hosts, or name --local-agents", missing, wait)
		}
		if !told && time.Since(began) > musterQuietly {
			told = true
			say("%s; waiting for the others, %v at most", missing, wait)
		}
	}
}

// call asks who is there, and takes the answers of a while.
func call(ctx context.Context, nc *nats.Conn, while time.Duration) (all []card, err error) {
	all = []card{}
	inbox := nc.NewRespInbox()
	answers, err := nc.SubscribeSync(inbox)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answers.Unsubscribe() }()
	if err := nc.PublishRequest(rollCall, inbox, nil); err != nil {
		return nil, err
	}
	until, cancel := context.WithTimeout(ctx, while)
	defer cancel()
	for {
		m, err := answers.NextMsgWithContext(until)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			break
		}
		var a card
		if json.Unmarshal(m.Data, &a) == nil && a.Name != "" && !strings.ContainsAny(a.Name, ".*> ") {
			all = append(all, a)
		}
	}
	slices.SortFunc(all, func(a, b card) int {
		return cmp.Or(strings.Compare(a.Host, b.Host), a.PID-b.PID, strings.Compare(a.Name, b.Name))
	})
	return all, nil
}

// unfit says which agents do not count.
func unfit(all []card) string {
	var b strings.Builder
	for _, a := range all {
		switch {
		case a.Build != buildID():
			fmt.Fprintf(&b, "; process %d on %s is of another version", a.PID, a.Host)
		case a.Busy:
			fmt.Fprintf(&b, "; process %d on %s has a part of another run", a.PID, a.Host)
		}
	}
	return b.String()
}

func (c *crew) close() {
	for _, nc := range []*nats.Conn{c.nc, c.clock} {
		if nc != nil {
			nc.Close()
		}
	}
}

// Size implements bench.Crew.
func (c *crew) Size() int { return len(c.agents) }

// sign is what comes from an agent: a beat, or its end.
type sign struct {
	agent int
	at    time.Time
	beat
	ended bool
	reply
}

// Play implements bench.Crew.
func (c *crew) Play(ctx context.Context, p bench.Call) (ends []bench.AgentEnd, err error) {
	ctx, free := either(ctx, c.having)
	defer free()
	defer func() { err = because(c.having, err) }()
	run := random()
	bucket, err := c.js.CreateOrUpdateObjectStore(ctx, jetstream.ObjectStoreConfig{Bucket: partBucket, TTL: time.Hour})
	if err != nil {
		return nil, fmt.Errorf("the store for what agents measure: %w", err)
	}
	signs := make(chan sign, 4096)
	deaf, err := c.listen(run, signs)
	defer deaf()
	if err != nil {
		return nil, err
	}
	alive, over := context.WithCancel(context.WithoutCancel(ctx))
	var beating sync.WaitGroup
	beating.Go(func() {
		for ok := true; ok; ok = pause(alive, aliveEvery) {
			_ = c.nc.Publish("leasestorm.storm."+run+"."+saysAlive, nil) // the next may arrive
		}
	})
	defer func() {
		c.toAll(askFree)
		over()
		beating.Wait()
	}()
	if err := c.each(func(i int) error { return c.ask(ctx, i, askDuty, order{run, p.Duties[i]}, dutyLimit) }); err != nil {
		return nil, err
	}
	clocks := make([]reading, len(c.agents))
	for i := range c.agents { // one after the other, so that none waits for another
		if clocks[i], err = compare(ctx, c.clock, c.subject(i, askClock), c.now); err != nil {
			return nil, fmt.Errorf("%s: %w", c.who(i), err)
		}
	}
	// Each is told in its own clock's time, early enough for the message to come.
	start := c.now() + time.Second
	if err := c.each(func(i int) error { return c.ask(ctx, i, askStart, start+clocks[i].Offset, time.Second) }); err != nil {
		return nil, err
	}
	if !pause(ctx, start-c.now()) {
		return nil, ctx.Err()
	}
	p.Began(host.NewClock())
	ends = make([]bench.AgentEnd, len(c.agents))
	for i, a := range c.agents {
		ends[i].Name, ends[i].Host = a.Name, a.Host
	}
	if err := c.watch(ctx, p, signs, ends); err != nil {
		return nil, err
	}
	for i := range ends {
		c.collect(ctx, &ends[i], bucket, partName(run, i), i, start, clocks[i])
	}
	return ends, ctx.Err()
}

// listen sends what the agents of a run say to signs, until deaf is called.
func (c *crew) listen(run string, signs chan<- sign) (deaf func(), err error) {
	var all []*nats.Subscription
	deaf = func() {
		for _, s := range all {
			_ = s.Unsubscribe() // the connection is closed
		}
	}
	prefix := "leasestorm.storm." + run + "."
	for _, kind := range []string{saysLive, saysEnd} {
		s, err := c.nc.Subscribe(prefix+kind+"*", func(m *nats.Msg) {
			s := sign{at: time.Now(), ended: kind == saysEnd}
			var err error
			if s.agent, err = strconv.Atoi(strings.TrimPrefix(m.Subject, prefix+kind)); err != nil || s.agent < 0 || s.agent >= len(c.agents) {
				return
			}
			if s.ended {
				err = json.Unmarshal(m.Data, &s.reply)
			} else {
				err = json.Unmarshal(m.Data, &s.beat)
			}
			if err != nil {
				return
			}
			select {
			case signs <- s:
				_ = m.Respond(nil) // a beat asks for none; an end that is not answered is said again
			default: // nobody reads them any more
			}
		})
		if err != nil {
			return deaf, err
		}
		all = append(all, s)
	}
	return deaf, nil
}

// watch waits until each agent has ended or is lost. As soon as one is lost the others are stopped.
func (c *crew) watch(ctx context.Context, p bench.Call, signs <-chan sign, ends []bench.AgentEnd) error {
	heard := make([]time.Time, len(ends))
	for i := range heard {
		heard[i] = time.Now()
	}
	ended := make([]bool, len(ends))
	left := len(ends)
	end := func(i int, lost string) {
		if ended[i] {
			return
		}
		ended[i] = true
		left--
		if ends[i].Lost = lost; lost != "" {
			c.toAll(askStop)
		}
	}
	tick := time.NewTicker(aliveEvery / 2)
	defer tick.Stop()
	limit := time.Now().Add(p.End + dutyLimit)
	for left > 0 {
		select {
		case <-ctx.Done():
			c.toAll(askStop)
			return ctx.Err()
		case s := <-signs:
			heard[s.agent] = s.at
			switch {
			case !s.ended:
				if len(s.Rows) > 0 {
					p.Live(s.agent, s.Rows)
				}
			case s.Error != "":
				end(s.agent, "failed: "+s.Error)
			default:
				end(s.agent, "")
			}
		case now := <-tick.C:
			for i := range ends {
				switch silent := now.Sub(heard[i]); {
				case len(signs) > 0: // of which one may be this agent's
				case silent > patience:
					end(i, fmt.Sprintf("died, hangs or lost its network: it was silent for %v", silent.Round(time.Second)))
				case now.After(limit):
					end(i, fmt.Sprintf("had not ended %v after the end of the run", dutyLimit))
				}
			}
		}
	}
	return nil
}

// collect reads what an agent measured, and compares the clocks once more.
func (c *crew) collect(ctx context.Context, e *bench.AgentEnd, bucket jetstream.ObjectStore, name string, i int, start time.Duration, before reading) {
	if e.Lost != "" {
		return
	}
	packed, err := bucket.GetBytes(ctx, name)
	if err == nil {
		e.Partial, err = unpackPart(packed)
		_ = bucket.Delete(ctx, name) // else it goes by itself
	}
	if err != nil {
		e.Lost = fmt.Sprintf("ended, and what it measured did not arrive: %v", err)
		return
	}
	r, err := compare(ctx, c.clock, c.subject(i, askClock), c.now)
	if err != nil || !r.Runs {
		return // the run does not count
	}
	wall := time.Now().Add(before.At - c.now()).UnixNano() // this host's, when the agent read its own
	e.Clocked, e.Offset, e.Error, e.Wall = true, r.Run-(r.At-start), r.Error, time.Duration(before.stamps.Wall-wall)
}

// unpackPart reads what an agent has stored.
func unpackPart(packed []byte) (*bench.Partial, error) {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	var p bench.Partial
	if err := json.NewDecoder(io.LimitReader(z, packedLimit)).Decode(&p); err != nil {
		return nil, err
	}
	return &p, p.Check()
}

// subject is where something is asked of an agent.
func (c *crew) subject(i int, what string) string {
	return "leasestorm.agent." + c.agents[i].Name + "." + what
}

// who is an agent in a sentence.
func (c *crew) who(i int) string {
	return fmt.Sprintf("agent %s, process %d on %s", c.agents[i].Name, c.agents[i].PID, c.agents[i].Host)
}

// ask asks an agent for something, and returns why it does not.
func (c *crew) ask(ctx context.Context, i int, what string, with any, limit time.Duration) error {
	text, err := json.Marshal(with)
	if err != nil {
		return err
	}
	one, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	m, err := c.nc.RequestWithContext(one, c.subject(i, what), text)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("%s does not answer: %w", c.who(i), err)
	}
	var r reply
	if err := json.Unmarshal(m.Data, &r); err != nil {
		return fmt.Errorf("%s: %w", c.who(i), err)
	}
	if r.Error != "" {
		return fmt.Errorf("%s: %s", c.who(i), r.Error)
	}
	return nil
}

// each does something with all agents at once.
func (c *crew) each(do func(i int) error) error {
	errs := make([]error, len(c.agents))
	var all sync.WaitGroup
	for i := range c.agents {
		all.Go(func() { errs[i] = do(i) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// toAll tells all agents something that needs no answer.
func (c *crew) toAll(what string) {
	for i := range c.agents {
		_ = c.nc.Publish(c.subject(i, what), nil)
	}
	_ = c.nc.FlushTimeout(time.Second)
}

// Generators implements cli.Elsewhere.
func (c *Cluster) Generators(ctx context.Context, mayLoad []string) (_ bench.Runner, _ func(), err error) {
	n := cmp.Or(c.agents, c.local)
	if n == 0 && c.server == "" {
		c.flags[cli.Storm].VisitAll(func(f *pflag.Flag) {
			if f.Changed && err == nil {
				err = cli.Usage(fmt.Errorf("--%s goes with --agents or --local-agents: without them this process is the generator", f.Name))
			}
		})
		return nil, nil, err
	}
	const most = 1024
	switch {
	case c.local < 0 || c.local > most || c.agents < 0 || c.agents > most:
		err = fmt.Errorf("--agents %d, --local-agents %d: want 0 to %d each", c.agents, c.local, most)
	case n == 0:
		err = errors.New("--cluster: name the number of agents by --agents, or --local-agents")
	case c.muster < 0:
		err = fmt.Errorf("--agents-wait %v: want 0 or more", c.muster)
	case c.server == "" && c.agents > c.local:
		err = fmt.Errorf("--agents %d, of which %d are local: name the server of the others by --cluster", c.agents, c.local)
	case c.server == "":
		c.server = embed
	}
	var l link
	var e embedding
	if err == nil {
		l, e, err = c.reach()
	}
	if err != nil {
		return nil, nil, cli.Usage(err)
	}
	var undo []func()
	end := func() {
		for i := len(undo) - 1; i >= 0; i-- {
			undo[i]()
		}
	}
	defer func() {
		if err != nil {
			end()
		}
	}()
	if c.server == embed {
		s, err := keepState("")
		if err != nil {
			return nil, nil, err
		}
		undo = append(undo, func() { _ = s.end(true) })
		own, err := e.start(s.dir)
		if err != nil {
			return nil, nil, err
		}
		undo = append(undo, own.stop)
		l = own.link
		if c.agents > c.local {
			say("storm: the embedded NATS server is at %s", l.URL)
		}
	}
	working, stop := context.WithCancel(context.WithoutCancel(ctx))
	having, lost := context.WithCancelCause(context.WithoutCancel(ctx))
	var local sync.WaitGroup
	local.Go(func() {
		if err := processes(working, "agent", c.local, "", asked{Link: l, MayLoad: mayLoad}, say); err != nil {
			lost(fmt.Errorf("no local agents: %w", err))
		}
	})
	undo = append(undo, func() {
		stop()
		local.Wait()
		lost(nil)
	})
	mustering, free := either(ctx, having)
	defer free()
	all, err := muster(mustering, l, n, c.muster, say)
	if err != nil {
		return nil, nil, because(having, err)
	}
	all.having = having
	undo = append(undo, all.close)
	return bench.Spread{Crew: all}, end, nil
}

func agentCommand() *cobra.Command {
	var (
		s         secrets
		where     string
		mayLoad   []string
		fromStdin bool
	)
	cmd := &cobra.Command{
		Use:   "agent",
		Short: "play a range of the droplets of storms that another host coordinates, until it is stopped",
		Long: `Waits for storms with --agents, and plays its part of them, until it is stopped. An agent calls the
service that the coordinator names, if it is on loopback or --i-may-load-this names its host, and keeps
within its share of the coordinator's limits. It runs no command and reads no file. Coordinator and
agents must be of one version.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			if fromStdin {
				ctx, a, err := fromParent(ctx, os.Stdin)
				if err != nil {
					return err
				}
				if err = serveRuns(ctx, a.Link, a.MayLoad, nil, say); errors.Is(err, errRejected) {
					err = cli.Exit(rejectedStatus, err)
				}
				return err
			}
			l, err := s.link(where)
			if err == nil && !strings.Contains(where, "://") {
				err = fmt.Errorf("--cluster %q: want the URL of the NATS server", shown(where))
			}
			if err == nil {
				err = l.private()
			}
			if err != nil {
				return cli.Usage(err)
			}
			return serveRuns(ctx, l, mayLoad, nil, say)
		},
	}
	cmd.Flags().StringVar(&where, "cluster", "", "URL of the NATS server")
	cmd.Flags().StringArrayVar(&mayLoad, "i-may-load-this", nil, "host beside loopback that this agent may load: you own it, or its owner agrees")
	cmd.Flags().BoolVar(&fromStdin, stdinFlag, false, "")
	if err := cmd.Flags().MarkHidden(stdinFlag); err != nil {
		panic(err)
	}
	s.flags(cmd.Flags())
	return cmd
}
