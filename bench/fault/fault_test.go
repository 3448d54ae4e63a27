package fault

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/leasestorm/leasestorm/bench/internal/hostiletest"
)

func TestParse(t *testing.T) {
	for how, want := range map[string]Spec{
		"none": {Kind: "none"}, "refuse": {Kind: "refuse"}, "hang": {Kind: "hang"}, "empty": {Kind: "empty"}, "slow:1m0s": {Kind: "slow", Delay: time.Minute},
		"exec:a b: $1": {Kind: "exec", To: "a b: $1"}, "http://127.0.0.1:1/x": {Kind: "hook", To: "http://127.0.0.1:1/x"},
	} {
		got, err := Parse(how)
		if err != nil || got != want || got.String() != how {
			t.Errorf("%s: %+v, %q, %v", how, got, got.String(), err)
		}
	}
	for _, how := range []string{"", "slow", "slow:0s", "slow:2h", "exec:", "exec: ", "refuse:1", "http:", "down"} {
		if _, err := Parse(how); !errors.Is(err, ErrOutage) {
			t.Errorf("%q: %v", how, err)
		}
	}
}

// echo is an address that sends back what it gets.
func echo(t *testing.T) string {
	t.Helper()
	return hostiletest.Serve(t, func(c net.Conn) { _, _ = io.Copy(c, c) })
}

// exchange sends a text and reads it back, within the time.
func exchange(c net.Conn, within time.Duration) error {
	_ = c.SetDeadline(time.Now().Add(within))
	if _, err := io.WriteString(c, "ping"); err != nil {
		return err
	}
	var back [4]byte
	_, err := io.ReadFull(c, back[:])
	return err
}

// lastExchange is the error that ends a connection: an outage ends those that there are soon, not at once.
func lastExchange(c net.Conn) error {
	for {
		if err := exchange(c, soon); err != nil {
			return err
		}
	}
}

func start(t *testing.T, how, target string) Outage {
	t.Helper()
	s, err := Parse(how)
	if err != nil {
		t.Fatal(err)
	}
	o, err := s.Start(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = o.Close() })
	return o
}

func dial(t *testing.T, at string) (net.Conn, error) {
	t.Helper()
	c, err := net.Dial("tcp", at)
	if err == nil {
		t.Cleanup(func() { _ = c.Close() })
	}
	return c, err
}

const (
	soon  = 20 * time.Second // by which something happens
	short = 50 * time.Millisecond
)

// What the proxy's outages do to connections that there are and to new ones, and that all is well after
// them, several times over.
func TestProxy(t *testing.T) {
	target := echo(t)
	for how, check := range map[string]func(old, fresh net.Conn, err error) string{
		"refuse": func(old, _ net.Conn, err error) string {
			if !errors.Is(err, syscall.ECONNREFUSED) {
				return "a new connection: " + errText(err)
			}
			if err := lastExchange(old); !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, io.EOF) {
				return "an old one: " + errText(err)
			}
			return ""
		},
		"empty": func(old, fresh net.Conn, err error) string {
			for _, c := range []net.Conn{old, fresh} {
				if err := lastExchange(c); errors.Is(err, os.ErrDeadlineExceeded) {
					return "it goes on: " + errText(err)
				}
			}
			return errText(err)
		},
		"hang": func(old, fresh net.Conn, err error) string {
			for _, c := range []net.Conn{old, fresh} {
				if err := exchange(c, short); !errors.Is(err, os.ErrDeadlineExceeded) {
					return "it does not hang: " + errText(err)
				}
			}
			return errText(err)
		},
		"slow:30s": func(old, fresh net.Conn, err error) string {
			for _, c := range []net.Conn{old, fresh} {
				if err := exchange(c, short); !errors.Is(err, os.ErrDeadlineExceeded) {
					return "it is not slow: " + errText(err)
				}
			}
			return errText(err)
		},
	} {
		t.Run(how, func(t *testing.T) {
			o := start(t, how, target)
			for range 3 {
				old, err := dial(t, o.Via())
				if err == nil {
					err = exchange(old, soon)
				}
				if err != nil {
					t.Fatal(err)
				}
				o.Begin()
				fresh, err := dial(t, o.Via())
				if text := check(old, fresh, err); text != "" {
					t.Error(text)
				}
				o.End()
				if how == "hang" { // what was sent in the outage arrives
					_ = old.SetDeadline(time.Now().Add(soon))
					var back [4]byte
					if _, err := io.ReadFull(old, back[:]); err != nil || string(back[:]) != "ping" {
						t.Errorf("after the outage: %q, %v", back, err)
					}
				}
				for late := time.Now().Add(soon); ; { // the port may not be open at once
					again, err := dial(t, o.Via())
					if err == nil && exchange(again, soon) == nil {
						break
					}
					if time.Now().After(late) {
						t.Fatal("it does not come back")
					}
				}
			}
			r, err := o.Close()
			if err != nil || r.How != how || r.Began == nil || r.Ended == nil || r.Connections < 6 || r.Bytes < 48 {
				t.Errorf("%+v, %v", r, err)
			}
			if c, err := dial(t, o.Via()); err == nil && exchange(c, soon) == nil {
				t.Error("it serves after its end")
			}
		})
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// A proxy before a service that is not there resets; one that is closed in its outage ends.
func TestProxyEnds(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := l.Addr().String()
	_ = l.Close()
	c, err := dial(t, start(t, "refuse", gone).Via())
	if err == nil {
		err = exchange(c, soon)
	}
	if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a service that is not there: %v", err)
	}
	for _, how := range []string{"refuse", "hang", "slow:1h", "empty"} {
		o := start(t, how, echo(t))
		if c, err = dial(t, o.Via()); err == nil {
			_ = exchange(c, soon)
		}
		o.Begin()
		if how == "hang" || how == "slow:1h" {
			_ = exchange(c, time.Millisecond)
		}
		if _, err := o.Close(); err != nil {
			t.Errorf("%s: %v", how, err)
		}
		o.Begin() // of no effect
		o.End()
	}
}

// A command gets begin and end, in their order; a hook a request each. What fails is told.
func TestCommandsAndHooks(t *testing.T) {
	file := filepath.Join(t.TempDir(), "out")
	o := start(t, `exec:echo $1 $LEASESTORM_OUTAGE >>'`+file+`'`, "")
	if o.Via() != "" {
		t.Errorf("via %q", o.Via())
	}
	o.Begin()
	o.End()
	if _, err := o.Close(); err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "begin begin\nend end\n" {
		t.Errorf("%q, %v", text, err)
	}
	o = start(t, "exec:echo fir''st; echo no such thing; exit 3", "")
	o.Begin()
	if _, err := o.Close(); !errors.Is(err, ErrOutage) || !strings.Contains(err.Error(), "no such thing") || strings.Contains(err.Error(), "first") {
		t.Errorf("a command that fails: %v", err)
	}
	var got []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		if got = append(got, r.Method+" "+string(text)); len(got) == 2 {
			http.Error(w, "not today", http.StatusInternalServerError)
		}
	}))
	defer server.Close()
	o = start(t, server.URL, "")
	o.Begin()
	o.End()
	if _, err := o.Close(); err == nil || !strings.Contains(err.Error(), "not today") {
		t.Errorf("a hook that fails: %v", err)
	}
	if strings.Join(got, "; ") != `POST {"outage":"begin"}; POST {"outage":"end"}` {
		t.Errorf("the hook got %v", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	s, _ := Parse("exec:[ $1 = end ] || sleep 1000")
	late, err := s.Start(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	late.Begin()
	cancel()
	if r, err := late.Close(); err == nil || r.Ended == nil {
		t.Errorf("a command that was ended: %v, %+v; want an error, and the outage ended", err, r)
	}
	o = start(t, "exec:sleep 20 &", "") // it leaves something running
	o.Begin()
	if _, err := o.Close(); err != nil {
		t.Error(err)
	}
}

// The proxy costs something, and its measure says so.
func TestCost(t *testing.T) {
	c, err := MeasureCost(t.Context())
	if err != nil || !(c.Direct > 0 && c.Via > 0) {
		t.Errorf("%+v, %v", c, err)
	}
}

// Several proxies' reports of one outage sum up; of the times the latest counts.
func TestSum(t *testing.T) {
	at := func(x float64) *float64 { return &x }
	sum := Sum(&Report{How: "hang", Cost: &Cost{}, Connections: 9}, []*Report{
		{How: "hang", Began: at(.1), Ended: at(.4), Connections: 1, Broken: 2, Bytes: 3, Failures: 4}, nil,
		{How: "hang", Began: at(.2), Ended: at(.3), Connections: 10, Broken: 20, Bytes: 30, Failures: 40},
	})
	if *sum.Began != .2 || *sum.Ended != .4 || sum.How != "hang" || sum.Cost == nil || sum.Connections != 11 || sum.Broken != 22 || sum.Bytes != 33 || sum.Failures != 44 {
		t.Errorf("%+v", sum)
	}
	if none := Sum(&Report{How: "refuse"}, nil); none.Began != nil || none.Ended != nil {
		t.Errorf("%+v", none)
	}
}
