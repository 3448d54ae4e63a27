package bench

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/leasestorm/leasestorm/bench/scenario"
	"github.com/leasestorm/leasestorm/lease"
	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/admit"
	"github.com/leasestorm/leasestorm/queue/catalog"
)

// hostClock is the name of parts that read the host's clock, in each catalog.
const hostClock = "host-clock"

func init() {
	lease.Catalog.Register(catalog.Entry[lease.New]{Name: hostClock, HostClock: true, New: func(env lease.Env, _ catalog.Values) (lease.Table, error) {
		return lease.Make("mutex", env)
	}})
	queue.Catalog.Register(catalog.Entry[queue.New]{Name: hostClock, HostClock: true, New: func(cfg queue.Config, _ catalog.Values) (queue.Discipline, error) {
		return queue.Make("fifo", cfg)
	}})
	queue.Wrappers.Register(catalog.Entry[queue.Wrap]{Name: hostClock, HostClock: true, New: func(_ queue.Config, _ catalog.Values, inner func() (queue.Discipline, error)) (queue.Discipline, error) {
		return inner()
	}})
	admit.Controllers.Register(catalog.Entry[admit.New]{Name: hostClock, HostClock: true, New: func(cfg admit.Config, _ catalog.Values) (admit.Controller, error) {
		return admit.Make("none", cfg)
	}})
	admit.Retries.Register(catalog.Entry[admit.NewRetry]{Name: hostClock, HostClock: true, New: func(timeout time.Duration, _ catalog.Values) (admit.Retry, error) {
		return admit.MakeRetry("immediate", timeout)
	}})
}

// No part that reads the host's clock gets into a virtual run, wherever it is named.
func TestHostClock(t *testing.T) {
	refused := func(t *testing.T, key string, set []string, o Options) {
		t.Helper()
		s, err := smallest(t, set...)
		if err != nil {
			t.Fatal(err)
		}
		_, err = Virtual{}.Run(t.Context(), s, o)
		if !errors.Is(err, scenario.ErrScenario) || !strings.Contains(err.Error(), key+": ") || !strings.Contains(err.Error(), "reads the host's clock") {
			t.Errorf("%v: %v", set, err)
		}
	}
	for _, tt := range [][2]string{
		{"table", hostClock}, {"queue", hostClock}, {"queue", hostClock + "+fifo"}, {"queue", "percore+" + hostClock + "+fifo"}, {"queue", "coalesce+" + hostClock},
		{"admit", hostClock}, {"retry", hostClock}, {"then_queue", hostClock}, {"then_queue", "percore+" + hostClock}, {"then_admit", hostClock}, {"then_retry", hostClock},
	} {
		set := []string{tt[0] + "=" + tt[1]}
		if strings.HasPrefix(tt[0], "then_") {
			set = append(set, "operator=switch", "operator_at=200ms")
		}
		refused(t, tt[0], set, Options{Seed: 1})
	}
	for _, do := range []string{"switch-queue", "switch-admit", "switch-retry"} {
		b, err := scenario.ParseRunbook("x.toml", fmt.Appendf(nil, "[[step]]\nat = \"0.2s\"\ndo = %q\nto = %q\n", do, hostClock))
		if err != nil {
			t.Fatal(err)
		}
		refused(t, strings.Replace(do, "switch-", "then_", 1), nil, Options{Seed: 1, Runbook: &b})
	}
}
