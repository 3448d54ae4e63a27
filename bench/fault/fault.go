// Package fault makes the outage of a service that is not ours: by a proxy before it, by a command or by a
// hook.
package fault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// ErrOutage is wrapped by every error about how an outage is to be made.
var ErrOutage = errors.New("outage")

// Spec says how an outage is made.
type Spec struct {
	Kind  string        // none, refuse, hang, slow, empty, exec, hook
	Delay time.Duration // of slow
	To    string        // the command of exec, the URL of hook
}

// Parse reads "none", "refuse", "hang", "slow:DURATION", "empty", "exec:COMMAND", or the URL of a hook.
// Errors wrap ErrOutage.
func Parse(how string) (Spec, error) {
	kind, rest, more := strings.Cut(how, ":")
	switch kind {
	case "none", "refuse", "hang", "empty":
		if !more {
			return Spec{Kind: kind}, nil
		}
	case "slow":
		if d, err := time.ParseDuration(rest); err == nil && d > 0 && d <= time.Hour {
			return Spec{Kind: kind, Delay: d}, nil
		}
		return Spec{}, fmt.Errorf("%w: %q: want the delay of each answer, up to 1h, as in slow:500ms", ErrOutage, how)
	case "exec":
		if strings.TrimSpace(rest) != "" {
			return Spec{Kind: kind, To: rest}, nil
		}
		return Spec{}, fmt.Errorf("%w: %q: want a command, as in 'exec:./outage.sh $1'; $1 is begin or end", ErrOutage, how)
	case "http", "https":
		if u, err := url.Parse(how); err == nil && u.Host != "" {
			return Spec{Kind: "hook", To: how}, nil
		}
	}
	return Spec{}, fmt.Errorf("%w: %q: want refuse, hang, slow:DURATION, empty, exec:COMMAND, a URL, or none", ErrOutage, how)
}

// Outage takes a service away and brings it back. Begin and End return at once: what takes time goes on in
// a goroutine of its own.
type Outage interface {
	// Via is the address that clients must connect to instead of the service's; "": the service's.
	Via() string
	Begin()
	End()
	// Close ends all of it. The error is that of a command or hook that failed.
	Close() (Report, error)
}

// Report says what an outage did.
type Report struct {
	How string `json:"how"`
	// Began and Ended are how long after Begin and End their work was done, in s; nil: they were not
	// called.
	Began *float64 `json:"began_after_s"`
	Ended *float64 `json:"ended_after_s"`
	// Of the proxy.
	Connections uint64 `json:"connections,omitempty"` // carried
	Broken      uint64 `json:"broken,omitempty"`      // by the outage
	Bytes       uint64 `json:"bytes,omitempty"`       // both ways
	// Failures are connections that this host could not carry: no local port or file descriptor was left.
	Failures uint64 `json:"failures,omitempty"`
	Cost     *Cost  `json:"cost,omitempty"`
}

// patience is how long a command or hook may go on after the run.
const patience = 5 * time.Second

// Start readies an outage of the service at an address, host:port.
func (s Spec) Start(ctx context.Context, target string) (Outage, error) {
	if s.Proxied() {
		return newProxy(s, target)
	}
	b := &beside{spec: s, jobs: make(chan string, 4)}
	b.ctx, b.cancel = context.WithCancel(ctx)
	b.report.How = s.String()
	b.all.Go(b.work)
	return b, nil
}

// Proxied reports whether a proxy makes the outage, before the calls of one process.
func (s Spec) Proxied() bool {
	switch s.Kind {
	case "refuse", "hang", "slow", "empty":
		return true
	}
	return false
}

// Sum returns the report of the same outage as several proxies made it. first says how, and what a proxy
// costs.
func Sum(first *Report, all []*Report) *Report {
	sum := &Report{How: first.How, Cost: first.Cost}
	latest := func(a, b *float64) *float64 {
		if a == nil || b != nil && *b > *a {
			return b
		}
		return a
	}
	for _, r := range all {
		if r == nil {
			continue
		}
		sum.Began, sum.Ended = latest(sum.Began, r.Began), latest(sum.Ended, r.Ended)
		sum.Connections += r.Connections
		sum.Broken += r.Broken
		sum.Bytes += r.Bytes
		sum.Failures += r.Failures
	}
	return sum
}

// String is the text that Parse reads.
func (s Spec) String() string {
	switch s.Kind {
	case "slow":
		return "slow:" + s.Delay.String()
	case "exec":
		return "exec:" + s.To
	case "hook":
		return s.To
	}
	return s.Kind
}

// beside is an outage that a command, a hook or nobody makes.
type beside struct {
	spec   Spec
	ctx    context.Context
	cancel context.CancelFunc
	jobs   chan string
	all    sync.WaitGroup
	report Report // written by work
	errs   []error
	once   sync.Once
	away   bool // begun and not ended
}

func (b *beside) Via() string { return "" }

func (b *beside) Begin() {
	b.away = true
	b.jobs <- "begin"
}

func (b *beside) End() {
	b.away = false
	b.jobs <- "end"
}

// work does the jobs in their order.
func (b *beside) work() {
	for job := range b.jobs {
		began := time.Now()
		err := b.do(job)
		took := time.Since(began).Seconds()
		if job == "begin" {
			b.report.Began = &took
		} else {
			b.report.Ended = &took
		}
		if err != nil {
			b.errs = append(b.errs, fmt.Errorf("%w: %s, %s: %w", ErrOutage, b.spec, job, err))
		}
	}
}

func (b *beside) do(job string) error {
	ctx := b.ctx
	if job == "end" { // also after an interrupt: the service must not stay away
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
	}
	switch b.spec.Kind {
	case "exec":
		return Shell(ctx, b.spec.To, []string{"LEASESTORM_OUTAGE=" + job}, job)
	case "hook":
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.spec.To, strings.NewReader(fmt.Sprintf(`{"outage":%q}`, job)))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/json")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer func() { _ = res.Body.Close() }()
		text, _ := io.ReadAll(io.LimitReader(res.Body, 500))
		if res.StatusCode >= 300 {
			return fmt.Errorf("status %s: %s", res.Status, text)
		}
	}
	return nil
}

// Close implements Outage. An outage that was begun is ended.
func (b *beside) Close() (Report, error) {
	b.once.Do(func() {
		if b.away {
			b.End()
		}
		close(b.jobs)
		late := time.AfterFunc(patience, b.cancel)
		b.all.Wait()
		late.Stop()
		b.cancel()
	})
	return b.report, errors.Join(b.errs...)
}
