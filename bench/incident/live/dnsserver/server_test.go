package dnsserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"

	"github.com/leasestorm/leasestorm/internal/need"
)

const (
	zoneName = "leasestorm.test."
	name     = "dynamodb.us-east-1.leasestorm.test."
	key      = "enactor."
	secret   = "bGVhc2VzdG9ybS1zZWNyZXQ="
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func listen(t *testing.T) *Server {
	t.Helper()
	s, err := Listen(t.Context(), Config{Addr: "127.0.0.1:0", Zones: []string{zoneName}, Keys: map[string]string{key: secret}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func rr(t *testing.T, text string) dns.RR {
	t.Helper()
	r, err := dns.NewRR(text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// sent is the server's answer to an update that is signed with a key, or "" for not at all.
func sent(t *testing.T, s *Server, network, key, secret string, m *dns.Msg) (*dns.Msg, error) {
	t.Helper()
	c := &dns.Client{Net: network}
	if key != "" {
		c.TsigSecret = map[string]string{key: secret}
		m.SetTsig(key, dns.HmacSHA256, 300, time.Now().Unix())
	}
	r, _, err := c.ExchangeContext(t.Context(), m, s.Addr())
	return r, err
}

// update is the code of the answer to a signed update with records in its two sections.
func update(t *testing.T, s *Server, prerequisites, changes []dns.RR) int {
	t.Helper()
	m := new(dns.Msg)
	m.SetUpdate(zoneName)
	m.Answer, m.Ns = prerequisites, changes
	r, err := sent(t, s, "tcp", key, secret, m)
	if err != nil {
		t.Fatal(err)
	}
	return r.Rcode
}

func ask(t *testing.T, s *Server, network, name string, kind uint16) *dns.Msg {
	t.Helper()
	m := new(dns.Msg)
	m.SetQuestion(name, kind)
	r, err := sent(t, s, network, "", "", m)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// raw is a record as it stands in an update: with a class and a TTL of its own.
func raw(rr dns.RR, class uint16, ttl uint32) dns.RR {
	rr.Header().Class, rr.Header().Ttl = class, ttl
	return rr
}

// bare is a record without data.
func bare(owner string, kind, class uint16) dns.RR {
	return &dns.ANY{Hdr: dns.RR_Header{Name: owner, Rrtype: kind, Class: class}}
}

// TestUpdate makes updates one after the other: each with the code of its answer and the addresses
// afterwards.
func TestUpdate(t *testing.T) {
	a := func(last int) dns.RR { return rr(t, fmt.Sprintf("%s 60 IN A 127.0.0.%d", name, last)) }
	s := listen(t)
	for _, c := range []struct {
		what                   string
		prerequisites, changes []dns.RR
		rcode                  int
		after                  string // the last numbers of the addresses
	}{
		{"add two", nil, []dns.RR{a(1), a(2)}, dns.RcodeSuccess, "1 2"},
		{"add one again", nil, []dns.RR{a(2)}, dns.RcodeSuccess, "1 2"},
		{"a name that must not be used", []dns.RR{bare(name, dns.TypeANY, dns.ClassNONE)}, []dns.RR{a(3)}, dns.RcodeYXDomain, "1 2"},
		{"a set that must not be there", []dns.RR{bare(name, dns.TypeA, dns.ClassNONE)}, []dns.RR{a(3)}, dns.RcodeYXRrset, "1 2"},
		{"a name that must be used", []dns.RR{bare("x."+name, dns.TypeANY, dns.ClassANY)}, []dns.RR{a(3)}, dns.RcodeNameError, "1 2"},
		{"a set that must be there", []dns.RR{bare(name, dns.TypeTXT, dns.ClassANY)}, []dns.RR{a(3)}, dns.RcodeNXRrset, "1 2"},
		{"a set that must have other data", []dns.RR{raw(a(1), dns.ClassINET, 0)}, []dns.RR{a(3)}, dns.RcodeNXRrset, "1 2"},
		{"a set that has its data", []dns.RR{raw(a(2), dns.ClassINET, 0), raw(a(1), dns.ClassINET, 0)}, []dns.RR{a(3)}, dns.RcodeSuccess, "1 2 3"},
		{"all that must hold, holds", []dns.RR{bare(name, dns.TypeANY, dns.ClassANY), bare(name, dns.TypeA, dns.ClassANY), bare(name, dns.TypeTXT, dns.ClassNONE), bare("x."+name, dns.TypeANY, dns.ClassNONE)}, nil, dns.RcodeSuccess, "1 2 3"},
		{"delete one", nil, []dns.RR{raw(a(2), dns.ClassNONE, 0)}, dns.RcodeSuccess, "1 3"},
		{"delete and add at once", nil, []dns.RR{bare(name, dns.TypeA, dns.ClassANY), a(4)}, dns.RcodeSuccess, "4"},
		{"nothing of a bad update", nil, []dns.RR{a(5), rr(t, "other.test. 60 IN A 127.0.0.1")}, dns.RcodeNotZone, "4"},
		{"a prerequisite elsewhere", []dns.RR{bare("other.test.", dns.TypeANY, dns.ClassANY)}, nil, dns.RcodeNotZone, "4"},
		{"a prerequisite with a TTL", []dns.RR{raw(a(4), dns.ClassINET, 60)}, nil, dns.RcodeFormatError, "4"},
		{"a class of no meaning", nil, []dns.RR{raw(a(4), dns.ClassCHAOS, 0)}, dns.RcodeFormatError, "4"},
		{"a deletion with a TTL", nil, []dns.RR{raw(a(4), dns.ClassNONE, 60)}, dns.RcodeFormatError, "4"},
		{"a CNAME beside an address", nil, []dns.RR{rr(t, name+" 60 IN CNAME x."+name)}, dns.RcodeSuccess, "4"},
		{"delete the set", nil, []dns.RR{bare(name, dns.TypeA, dns.ClassANY)}, dns.RcodeSuccess, ""},
		{"the zone keeps its SOA", nil, []dns.RR{bare(zoneName, dns.TypeANY, dns.ClassANY), bare(zoneName, dns.TypeSOA, dns.ClassANY)}, dns.RcodeSuccess, ""},
		{"another SOA", nil, []dns.RR{rr(t, zoneName+" 60 IN SOA ns.x. x. 7 1 1 1 1")}, dns.RcodeSuccess, ""},
		{"delete the name", nil, []dns.RR{a(1), rr(t, name+" 60 IN TXT x"), bare(name, dns.TypeANY, dns.ClassANY)}, dns.RcodeSuccess, ""},
	} {
		if got := update(t, s, c.prerequisites, c.changes); got != c.rcode {
			t.Errorf("%s: %s, want %s", c.what, dns.RcodeToString[got], dns.RcodeToString[c.rcode])
		}
		var after []string
		for _, r := range ask(t, s, "udp", name, dns.TypeA).Answer {
			after = append(after, strings.TrimPrefix(r.(*dns.A).A.String(), "127.0.0."))
		}
		slices.Sort(after)
		if got := strings.Join(after, " "); got != c.after {
			t.Errorf("%s: the addresses are %q, want %q", c.what, got, c.after)
		}
	}
	soa := ask(t, s, "udp", zoneName, dns.TypeSOA).Answer[0].(*dns.SOA)
	if soa.Ns != "ns."+zoneName || soa.Serial < 2 {
		t.Errorf("the SOA is %v", soa)
	}
}

// TestSigned refuses every update but one that is signed with the right key, and leaves the zone as
// it is.
func TestSigned(t *testing.T) {
	s := listen(t)
	const wrong = "d3Jvbmctc2VjcmV0LXdyb25nLXNlY3JldA=="
	for _, network := range []string{"udp", "tcp"} {
		for _, c := range []struct {
			what, key, secret string
			rcode             int
			mark              uint16
		}{
			{"unsigned", "", "", dns.RcodeRefused, 0},
			{"a wrong secret", key, wrong, dns.RcodeNotAuth, dns.RcodeBadSig},
			{"an unknown key", "nobody.", secret, dns.RcodeNotAuth, dns.RcodeBadKey},
			{"the key", key, secret, dns.RcodeSuccess, 0},
		} {
			serial := ask(t, s, network, zoneName, dns.TypeSOA).Answer[0].(*dns.SOA).Serial
			m := new(dns.Msg)
			m.SetUpdate(zoneName)
			m.Insert([]dns.RR{rr(t, network+strings.ReplaceAll(c.what, " ", "-")+"."+zoneName+" 60 IN A 127.0.0.1")})
			r, err := sent(t, s, network, c.key, c.secret, m)
			if r == nil {
				t.Fatalf("%s, %s: no answer: %v", network, c.what, err)
			}
			if c.rcode == dns.RcodeSuccess && err != nil {
				t.Errorf("%s, %s: the answer's signature: %v", network, c.what, err)
			}
			if mark := r.IsTsig(); r.Rcode != c.rcode || mark != nil && mark.Error != c.mark || (mark == nil) != (c.key == "") {
				t.Errorf("%s, %s: %s, TSIG %v; want %s, %d", network, c.what, dns.RcodeToString[r.Rcode], mark, dns.RcodeToString[c.rcode], c.mark)
			}
			changed := ask(t, s, network, zoneName, dns.TypeSOA).Answer[0].(*dns.SOA).Serial != serial
			if changed != (c.rcode == dns.RcodeSuccess) {
				t.Errorf("%s, %s: the zone has changed: %v", network, c.what, changed)
			}
		}
	}
	if st := s.Stats(); st.Refused != 6 || st.Updates != 2 {
		t.Errorf("%d refused and %d made, want 6 and 2", st.Refused, st.Updates)
	}
}

// negative checks an answer without records: its code, and the SOA that says how long.
func negative(t *testing.T, r *dns.Msg, rcode int) {
	t.Helper()
	if r.Rcode != rcode || len(r.Answer) != 0 || len(r.Ns) != 1 {
		t.Fatalf("want %s with an SOA:\n%v", dns.RcodeToString[rcode], r)
	}
	if soa, ok := r.Ns[0].(*dns.SOA); !ok || soa.Hdr.Ttl != 5 || soa.Hdr.Name != zoneName {
		t.Errorf("the authority section has %v", r.Ns[0])
	}
}

// TestEmpty empties a name in each way in which it can be empty.
func TestEmpty(t *testing.T) {
	s := listen(t)
	for _, network := range []string{"udp", "tcp"} {
		negative(t, ask(t, s, network, name, dns.TypeA), dns.RcodeNameError)
	}
	tree, alias := "p1."+name, Alias+name
	if rcode := update(t, s, nil, []dns.RR{rr(t, tree+" 60 IN A 127.0.0.7"), rr(t, alias+" 60 IN TXT "+tree)}); rcode != dns.RcodeSuccess {
		t.Fatal(dns.RcodeToString[rcode])
	}
	r := ask(t, s, "udp", strings.ToUpper(name), dns.TypeA)
	if len(r.Answer) != 1 || r.Answer[0].String() != strings.ToUpper(name)+"\t60\tIN\tA\t127.0.0.7" || !r.Authoritative {
		t.Fatalf("the alias's answer:\n%v", r)
	}
	negative(t, ask(t, s, "udp", name, dns.TypeAAAA), dns.RcodeSuccess)
	// The tree is deleted, and the alias still points at it.
	update(t, s, nil, []dns.RR{bare(tree, dns.TypeANY, dns.ClassANY)})
	for _, network := range []string{"udp", "tcp"} {
		negative(t, ask(t, s, network, name, dns.TypeA), dns.RcodeSuccess)
	}
	negative(t, ask(t, s, "udp", tree, dns.TypeA), dns.RcodeNameError)
	if st := s.Stats(); st.Empty != 2 || st.Unknown != 3 {
		t.Errorf("%d empty answers and %d unknown names, want 2 and 3", st.Empty, st.Unknown)
	}
	// A set of another type keeps a name, too.
	update(t, s, nil, []dns.RR{bare(alias, dns.TypeANY, dns.ClassANY), rr(t, name+" 60 IN TXT x")})
	negative(t, ask(t, s, "udp", name, dns.TypeA), dns.RcodeSuccess)
	update(t, s, nil, []dns.RR{bare(name, dns.TypeANY, dns.ClassANY)})
	negative(t, ask(t, s, "udp", name, dns.TypeA), dns.RcodeNameError)
}

// A chain of CNAMEs is followed, and a ring of them has an end. Elsewhere the server says nothing.
func TestQuery(t *testing.T) {
	s := listen(t)
	update(t, s, nil, []dns.RR{
		rr(t, "a."+zoneName+" 60 IN CNAME b."+zoneName), rr(t, "b."+zoneName+" 60 IN CNAME c."+zoneName), rr(t, "c."+zoneName+" 60 IN A 127.0.0.1"),
		rr(t, "x."+zoneName+" 60 IN CNAME y."+zoneName), rr(t, "y."+zoneName+" 60 IN CNAME x."+zoneName),
	})
	if r := ask(t, s, "udp", "a."+zoneName, dns.TypeA); len(r.Answer) != 3 {
		t.Errorf("the chain's answer:\n%v", r)
	}
	if r := ask(t, s, "udp", "x."+zoneName, dns.TypeA); r.Rcode != dns.RcodeSuccess || len(r.Answer) != longestChain {
		t.Errorf("the ring's answer:\n%v", r)
	}
	if r := ask(t, s, "udp", "a.ns."+zoneName, dns.TypeA); r.Rcode != dns.RcodeNameError {
		t.Errorf("below a name:\n%v", r)
	}
	for _, q := range []struct {
		name string
		kind uint16
	}{{"example.org.", dns.TypeA}, {zoneName, dns.TypeAXFR}} {
		if r := ask(t, s, "tcp", q.name, q.kind); r.Rcode != dns.RcodeRefused {
			t.Errorf("%s %s:\n%v", q.name, dns.TypeToString[q.kind], r)
		}
	}
	// An answer that does not fit says so, and TCP has all of it.
	var many []dns.RR
	for i := range 60 {
		many = append(many, rr(t, fmt.Sprintf("many.%s 60 IN A 127.0.1.%d", zoneName, i)))
	}
	update(t, s, nil, many)
	if r := ask(t, s, "udp", "many."+zoneName, dns.TypeA); !r.Truncated {
		t.Errorf("%d answers by UDP are not truncated", len(r.Answer))
	}
	if r := ask(t, s, "tcp", "many."+zoneName, dns.TypeA); r.Truncated || len(r.Answer) != 60 {
		t.Errorf("%d answers by TCP, want 60", len(r.Answer))
	}
}

// TestClosed opens both ports again after the end, by Close and by the context.
func TestClosed(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cfg := Config{Addr: ":0", Zones: []string{zoneName}}
	for _, end := range []func(s *Server){func(s *Server) { s.Close() }, func(*Server) { cancel() }} {
		s, err := Listen(ctx, cfg)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Listen(ctx, Config{Addr: s.Addr(), Zones: cfg.Zones}); err == nil || !strings.Contains(err.Error(), "is in use") {
			t.Errorf("a taken port: %v", err)
		}
		end(s)
		s.Close()
		again, err := Listen(t.Context(), Config{Addr: s.Addr(), Zones: cfg.Zones})
		if err != nil {
			t.Fatalf("the port is not free after the end: %v", err)
		}
		again.Close()
	}
	for _, bad := range []Config{{Addr: "127.0.0.1", Zones: cfg.Zones}, {Addr: ":0"}, {Addr: ":0", Zones: []string{"a..b"}}, {Addr: ":0", Zones: cfg.Zones, Keys: map[string]string{"k.": "?"}}} {
		if s, err := Listen(t.Context(), bad); err == nil {
			s.Close()
			t.Errorf("%+v is taken", bad)
		}
	}
}

// TestResolver asks by Go's own resolver.
func TestResolver(t *testing.T) {
	s := listen(t)
	r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, s.Addr())
	}}
	look := func() ([]string, bool) {
		all, err := r.LookupHost(t.Context(), name)
		e, ok := errors.AsType[*net.DNSError](err)
		return all, ok && e.IsNotFound
	}
	update(t, s, nil, []dns.RR{rr(t, name+" 60 IN A 127.0.0.9"), rr(t, name+" 60 IN TXT x")})
	if all, _ := look(); !slices.Equal(all, []string{"127.0.0.9"}) {
		t.Errorf("the addresses are %v", all)
	}
	update(t, s, nil, []dns.RR{bare(name, dns.TypeA, dns.ClassANY)})
	if all, missing := look(); !missing {
		t.Errorf("the empty name has %v", all)
	}
}

// dig is what dig prints.
func dig(t *testing.T, s *Server, args ...string) string {
	t.Helper()
	args = append([]string{"@127.0.0.1", "-p", fmt.Sprint(Port(s.Addr())), "+tries=1", "+time=5"}, args...)
	out, err := exec.CommandContext(t.Context(), need.Tool(t, "dig", "bind9-dnsutils"), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("dig: %v\n%s", err, out)
	}
	return string(out)
}

// nsupdate runs nsupdate on a script, and returns what it says and whether it succeeded.
func nsupdate(t *testing.T, s *Server, keyFile, script string) (string, bool) {
	t.Helper()
	args := []string{}
	if keyFile != "" {
		args = []string{"-k", keyFile}
	}
	cmd := exec.CommandContext(t.Context(), need.Tool(t, "nsupdate", "bind9-dnsutils"), args...)
	cmd.Stdin = strings.NewReader(fmt.Sprintf("server 127.0.0.1 %d\nzone %s\n%s\nsend\n", Port(s.Addr()), zoneName, script))
	out, err := cmd.CombinedOutput()
	return string(out), err == nil
}

// TestTools changes and asks the server by BIND's nsupdate and dig.
func TestTools(t *testing.T) {
	s := listen(t)
	keyFile := func(name, secret string) string {
		path := filepath.Join(t.TempDir(), "key")
		text := fmt.Sprintf("key %q { algorithm hmac-sha256; secret %q; };\n", strings.TrimSuffix(name, "."), secret)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := keyFile(key, secret)
	add := "update add p1." + name + " 60 A 127.0.0.3\nupdate add " + Alias + name + " 60 TXT p1." + name
	for _, c := range []struct{ what, keyFile, says string }{
		{"unsigned", "", "REFUSED"}, {"a wrong secret", keyFile(key, "d3Jvbmc="), "BADSIG"}, {"an unknown key", keyFile("nobody.", secret), "BADKEY"},
	} {
		if out, ok := nsupdate(t, s, c.keyFile, add); ok || !strings.Contains(out, c.says) {
			t.Errorf("%s: nsupdate says %q", c.what, out)
		}
	}
	if out := dig(t, s, name, "A"); !strings.Contains(out, "status: NXDOMAIN") {
		t.Errorf("before the update:\n%s", out)
	}
	if out, ok := nsupdate(t, s, good, add); !ok {
		t.Fatalf("nsupdate: %s", out)
	}
	for _, by := range []string{"+notcp", "+tcp"} {
		if out := dig(t, s, "+short", by, name, "A"); strings.TrimSpace(out) != "127.0.0.3" {
			t.Errorf("dig %s: %s", by, out)
		}
	}
	// A prerequisite that does not hold is a fence.
	if out, ok := nsupdate(t, s, good, "prereq yxrrset "+Alias+name+" TXT p9."+name+"\nupdate delete p1."+name); ok || !strings.Contains(out, "NXRRSET") {
		t.Errorf("the fence: nsupdate says %q", out)
	}
	if out, ok := nsupdate(t, s, good, "prereq yxrrset "+Alias+name+" TXT p1."+name+"\nupdate delete p1."+name); !ok {
		t.Errorf("nsupdate: %s", out)
	}
	out := dig(t, s, name, "A")
	for _, want := range []string{"status: NOERROR", "ANSWER: 0, AUTHORITY: 1", "flags: qr aa rd", "SOA\tns." + zoneName} {
		if !strings.Contains(out, want) {
			t.Errorf("the empty answer lacks %q:\n%s", want, out)
		}
	}
}
