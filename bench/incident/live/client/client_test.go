package client

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"

	"github.com/leasestorm/leasestorm/bench/incident/dependency"
	"github.com/leasestorm/leasestorm/bench/incident/live/dnsserver"
	"github.com/leasestorm/leasestorm/bench/incident/live/dynamo"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const name = "dynamodb.us-east-1.leasestorm.test."

var home = netip.MustParseAddr("127.0.0.1")

// world is a name server with the endpoint's name, and a store behind it.
type world struct {
	dns   *dnsserver.Server
	store *dynamo.Server
	cfg   Config
}

func open(t *testing.T) *world {
	t.Helper()
	w := &world{}
	var err error
	if w.dns, err = dnsserver.Listen(t.Context(), dnsserver.Config{Addr: ":0", Zones: []string{"leasestorm.test"}, Keys: map[string]string{"k.": "c2VjcmV0"}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.dns.Close)
	if w.store, err = dynamo.Listen(t.Context(), dynamo.NewStore(), 0, "127.0.0.1"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.store.Close)
	w.cfg = Config{DNS: w.dns.Addr(), URL: endpoint(w.store.Port()), Allowed: []netip.Addr{home}, Table: "leases"}
	w.set(t, "127.0.0.1")
	return w
}

func endpoint(port int) url.URL {
	return url.URL{Scheme: "http", Host: strings.TrimSuffix(name, ".") + ":" + strconv.Itoa(port)}
}

// set gives the endpoint's name these addresses alone. Its text record stays, so that no address
// is an empty answer.
func (w *world) set(t *testing.T, ips ...string) {
	t.Helper()
	m := new(dns.Msg)
	m.SetUpdate("leasestorm.test.")
	m.RemoveRRset([]dns.RR{&dns.A{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeA}}})
	text := []string{name + " 60 IN TXT x"}
	for _, ip := range ips {
		text = append(text, name+" 60 IN A "+ip)
	}
	for _, one := range text {
		rr, err := dns.NewRR(one)
		if err != nil {
			t.Fatal(err)
		}
		m.Insert([]dns.RR{rr})
	}
	m.SetTsig("k.", dns.HmacSHA256, 300, time.Now().Unix())
	c := &dns.Client{Net: "tcp", TsigSecret: map[string]string{"k.": "c2VjcmV0"}}
	if r, _, err := c.ExchangeContext(t.Context(), m, w.dns.Addr()); err != nil || r.Rcode != dns.RcodeSuccess {
		t.Fatalf("%v: %v", r, err)
	}
}

// TestCheck follows one client through the outage: its open connection hides it, a new one fails
// without a second attempt, and the first call after the mend succeeds.
func TestCheck(t *testing.T) {
	w := open(t)
	c := New(w.cfg)
	defer c.Close()
	deadline := time.Duration(0)
	check := func() Outcome {
		deadline++
		return outcome(c.Check(t.Context(), Lease{Manager: "m", Droplet: 7, Deadline: deadline}))
	}
	if err := Probe(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if err := Make(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if o := check(); o != Good {
		t.Fatalf("a check is %v", o)
	}
	w.set(t)
	if o := check(); o != Good || c.Dials() != 1 {
		t.Errorf("on the open connection a check is %v, after %d connections", o, c.Dials())
	}
	before := w.dns.Stats()
	c.Close()
	if o := check(); o != NoAddress {
		t.Errorf("without the name a check is %v", o)
	}
	if n := w.dns.Stats().Empty - before.Empty; n != 1 {
		t.Errorf("a failing check asked %d times, want once", n)
	}
	w.set(t, "127.0.0.1")
	if o := check(); o != Good || c.Dials() != 2 {
		t.Errorf("after the mend a check is %v, after %d connections", o, c.Dials())
	}
	// A check that is late is no failure.
	deadline--
	if o := check(); o != Good {
		t.Errorf("a late check is %v", o)
	}
	// Nothing listens behind the name.
	c.Close()
	w.store.Close()
	if o := check(); o != Unreachable {
		t.Errorf("without the store a check is %v", o)
	}
}

// TestCaches keeps addresses, and their absence, for their times.
func TestCaches(t *testing.T) {
	w := open(t)
	w.cfg.TTL, w.cfg.NegativeTTL, w.cfg.Lifetime = time.Hour, time.Hour, time.Nanosecond
	c := New(w.cfg)
	defer c.Close()
	if err := Make(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	w.set(t)
	if o := outcome(c.Check(t.Context(), Lease{Manager: "m", Deadline: 1})); o != Good || c.Dials() != 2 {
		t.Errorf("with cached addresses a check is %v, after %d connections", o, c.Dials())
	}
	fresh := New(w.cfg)
	defer fresh.Close()
	for range 3 {
		if o := outcome(fresh.Check(t.Context(), Lease{Manager: "m", Deadline: 2})); o != NoAddress {
			t.Errorf("a new client's check is %v", o)
		}
		w.set(t, "127.0.0.1") // too late for its cache
	}
	if n := w.dns.Stats().Empty; n != 1 {
		t.Errorf("%d empty answers, want 1", n)
	}
}

// TestAllowed refuses an address that nobody named, before it connects.
func TestAllowed(t *testing.T) {
	w := open(t)
	w.set(t, "192.0.2.1")
	c := New(w.cfg)
	if err := Probe(t.Context(), c); !errors.Is(err, ErrNotAllowed) || c.Dials() != 0 {
		t.Errorf("%v, %d connections", err, c.Dials())
	}
	// No other name is looked up anywhere else.
	w.cfg.URL.Host = "dynamodb.us-east-1.amazonaws.com:80"
	c = New(w.cfg)
	if err := Probe(t.Context(), c); err == nil || c.Dials() != 0 {
		t.Errorf("%v, %d connections", err, c.Dials())
	}
}

// TestProbe tells DynamoDB from other servers.
func TestProbe(t *testing.T) {
	w := open(t)
	for what, serve := range map[string]http.HandlerFunc{
		"a page":   func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
		"an error": http.NotFound,
		"S3's form": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte(`<Error><Code>MethodNotAllowed</Code></Error>`))
		},
	} {
		s := httptest.NewServer(serve)
		w.cfg.URL = endpoint(s.Listener.Addr().(*net.TCPAddr).Port)
		c := New(w.cfg)
		if err := Probe(t.Context(), c); err == nil {
			t.Errorf("%s is DynamoDB", what)
		}
		c.Close()
		s.Close()
	}
}

// Ask answers for each droplet as its client saw it last, and allocates nothing.
func TestAsk(t *testing.T) {
	s := NewSample(Config{}, 8, 100)
	s.saw(3, NoAddress, 5*time.Millisecond)
	for i := range 8 {
		if i != 3 {
			s.saw(i, Good, time.Duration(i)*time.Millisecond)
		}
	}
	bad := 0
	for d := range uint32(80_000) {
		ok, takes := s.Ask(0, d)
		if !ok {
			bad++
			if takes != 5*time.Millisecond {
				t.Fatalf("droplet %d fails after %v", d, takes)
			}
		}
	}
	if bad < 9000 || bad > 11000 {
		t.Errorf("%d of 80000 droplets fail, want an eighth", bad)
	}
	if n := testing.AllocsPerRun(1000, func() { s.Ask(0, 17) }); n != 0 {
		t.Errorf("Ask allocates %g times", n)
	}
	if st := s.Stats(); st.NoAddress != 1 || st.Good != 7 || st.Failing != 1 || st.Checks() != 8 {
		t.Errorf("%+v", st)
	}
	if n := s.Times().TotalCount(); n != 7 {
		t.Errorf("%d latencies, want those of 7 good checks", n)
	}
}

// A sample checks on its own, and ends with all its connections.
func TestSample(t *testing.T) {
	w := open(t)
	c := New(w.cfg)
	if err := Make(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	c.Close()
	s := NewSample(w.cfg, 4, 1e6)
	s.Start(t.Context())
	for s.Stats().Good < 40 {
		if st := s.Stats(); st.Checks() > st.Good {
			t.Fatalf("%+v", st)
		}
		runtime.Gosched()
	}
	s.Close()
	if st := s.Stats(); st.Dials != 4 {
		t.Errorf("%d connections by 4 clients", st.Dials)
	}
}

// The two versions of the SDK's retries differ in their attempts and in their waits.
func TestRetries(t *testing.T) {
	for version, want := range map[dependency.Retries]struct {
		attempts int
		longest  time.Duration // wait after the first attempt
	}{dependency.Before: {3, 2 * time.Second}, dependency.Since: {4, 25 * time.Millisecond}} {
		r := New(Config{Retries: version}).DB().Options().Retryer
		longest := time.Duration(0)
		for range 1000 {
			wait, err := r.RetryDelay(1, errors.New("no answer"))
			if err != nil {
				t.Fatal(err)
			}
			longest = max(longest, wait)
		}
		if r.MaxAttempts() != want.attempts || longest > want.longest || longest < want.longest/2 {
			t.Errorf("%s: %d attempts, waits up to %v; want %d and %v", version, r.MaxAttempts(), longest, want.attempts, want.longest)
		}
	}
}

// Clients of one host share what they remember: one of them asks, and all are told when to ask again.
func TestShared(t *testing.T) {
	w := open(t)
	w.set(t)
	w.cfg.NegativeTTL, w.cfg.Names = time.Hour, new(Names)
	before := time.Now()
	for range 3 {
		c := New(w.cfg)
		if o := outcome(c.Check(t.Context(), Lease{Manager: "m", Deadline: 1})); o != NoAddress {
			t.Errorf("a check is %v", o)
		}
	}
	if n := w.dns.Stats().Empty; n != 1 {
		t.Errorf("%d empty answers, want 1", n)
	}
	if at := w.cfg.Names.Missing(); at.Before(before.Add(time.Hour)) {
		t.Errorf("the name is looked up again at %v", at)
	}
}
