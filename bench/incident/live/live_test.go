package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestLive makes a run without a fence and one with it, and reads their JSON.
func TestLive(t *testing.T) {
	if testing.Short() {
		t.Skip("20 s of runs: the long run has it")
	}
	for _, mend := range []string{"none", "fencing"} {
		var out bytes.Buffer
		cmd := root(&out, io.Discard)
		cmd.SetArgs([]string{"live", "--leases", "0", "--seconds", "10", "--clients", "16", "--rate", "50", "--dns-mend", mend, "--listen", ":0", "--json"})
		if err := cmd.ExecuteContext(t.Context()); err != nil {
			t.Fatal(err)
		}
		var sum summary
		if err := json.Unmarshal(out.Bytes(), &sum); err != nil {
			t.Fatal(err)
		}
		without := mend == "none"
		if sum.Outage != without || (sum.EmptiedAt != nil) != without || (sum.MendedAt != nil) != without || (sum.DNS.Empty > 0) && !without {
			t.Errorf("dns-mend %s: %s", mend, out.String())
		}
		if sum.Checks.Total == 0 || sum.Checks.Other != 0 || sum.DNS.Fenced == 0 || len(sum.Timeline) == 0 {
			t.Errorf("dns-mend %s: %s", mend, out.String())
		}
	}
}

// TestRefused says what is wrong before anything runs.
func TestRefused(t *testing.T) {
	page := httptest.NewServer(nil)
	defer page.Close()
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	for want, args := range map[string][]string{
		"want 10 to 3600":     {"--seconds", "5"},
		"none or fencing":     {"--dns-mend", "prayer"},
		"1 to 1000":           {"--clients", "0"},
		"checks per second":   {"--rate", "NaN"},
		"before-2026":         {"--client", "yesterday"},
		"--leases -1":         {"--leases", "-1"},
		"the processors":      {"--workers", "5000"},
		"--operator-at":       {"--operator-at", "23:00"},
		"want HOST:PORT":      {"--listen", "9100"},
		"--dns: address":      {"--dns", "53"},
		"dns: address":        {"--dns", taken.Addr().String()},
		"metrics: address":    {"--listen", taken.Addr().String()},
		"http://HOST:PORT":    {"--dynamodb", "localhost"},
		"is not DynamoDB":     {"--dynamodb", page.URL},
		"unknown flag: --foo": {"--foo"},
	} {
		cmd := root(io.Discard, io.Discard)
		cmd.SetArgs(append([]string{"live"}, args...))
		if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v; want %q", args, err, want)
		}
	}
}

// checkUsage wants a mistake in the arguments that names what is wrong.
func checkUsage(t *testing.T, err error, want string) {
	t.Helper()
	if _, ok := errors.AsType[usageError](err); !ok || !strings.Contains(err.Error(), want) {
		t.Errorf("%v; want a mistake in the arguments, with %q", err, want)
	}
}

// TestInterrupted ends a run in its middle: its port is free, and goleak finds nothing left.
func TestInterrupted(t *testing.T) {
	for _, leases := range []int{0, 2000} {
		t.Run(strconv.Itoa(leases)+" leases", func(t *testing.T) { interrupted(t, leases) })
	}
}

func interrupted(t *testing.T, leases int) {
	t.Helper()
	free, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := free.Addr().String()
	_ = free.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cfg := defaults()
	cfg.DNS, cfg.Leases, cfg.NoWait = addr, leases, true
	_, err = run(ctx, cfg, func(text string) {
		if strings.Contains(text, "23:30") {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the run ends with %v", err)
	}
	again, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatalf("the port is not free: %v", err)
	}
	_ = again.Close()
}
