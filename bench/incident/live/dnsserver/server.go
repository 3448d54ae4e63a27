// Package dnsserver is an authoritative DNS server with dynamic updates (RFC 2136), on UDP and TCP.
//
// An update must be signed by a key that the server knows (RFC 8945). All of an update happens at
// once or not at all, and its prerequisites are checked in the same moment. So a prerequisite is a
// fence: a writer who last saw an older record than the one that is there is refused.
//
// # Aliases
//
// A name NAME is an alias if the text record _alias.NAME exists: an address of NAME is then looked
// up at the name that the text says. It stands for the alias records of DNS services that keep
// them within the server, as a zone file has none. An alias without a target, or to a name
// without addresses, is an empty answer: NOERROR, no records, and the zone's SOA in the authority
// section.
package dnsserver

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"

	"github.com/miekg/dns"
	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/bench/metrics"
)

// Config is the configuration of a Server.
type Config struct {
	Addr  string            // HOST:PORT, the same port for UDP and TCP; port 0: a free one
	Zones []string          // names of the zones, such as "dynamodb.us-east-1.leasestorm.test."
	Keys  map[string]string // secrets in base64, by the keys' names; nobody else can update
	// NegativeTTL is how long, in seconds, a client may remember that there are no records: the
	// last number of an SOA. 0: 5.
	NegativeTTL uint32
}

// Server is a running server. Its methods are safe for concurrent use.
type Server struct {
	addr  string
	udp   *dns.Server
	tcp   *dns.Server
	ended sync.WaitGroup
	once  sync.Once

	mu    sync.RWMutex
	zones map[string]*zone // by name

	counts counts
}

type counts struct {
	queries, empty, unknown, taken, refused, fenced atomic.Int64
}

// Stats are the counts of a server since its start.
type Stats struct {
	Queries int64 // all queries
	Empty   int64 // queries for addresses that found the name and no record
	Unknown int64 // queries for a name that does not exist
	Updates int64 // updates that were made
	Refused int64 // updates without a valid signature
	Fenced  int64 // updates whose prerequisite did not hold
}

// Listen starts a server. It ends when ctx ends, or by Close.
func Listen(ctx context.Context, cfg Config) (*Server, error) {
	s := &Server{zones: map[string]*zone{}}
	if len(cfg.Zones) == 0 {
		return nil, errors.New("dns: no zone is given")
	}
	for _, name := range cfg.Zones {
		if _, ok := dns.IsDomainName(name); !ok || dns.Fqdn(name) == "." {
			return nil, fmt.Errorf("dns: zone %q: want a name such as leasestorm.test", name)
		}
		name = dns.CanonicalName(name)
		s.zones[name] = newZone(name, cmp.Or(cfg.NegativeTTL, 5))
	}
	secrets := map[string]string{}
	for name, secret := range cfg.Keys {
		if b, err := base64.StdEncoding.DecodeString(secret); err != nil || len(b) == 0 {
			return nil, fmt.Errorf("dns: the secret of key %s: want base64", name)
		}
		secrets[dns.CanonicalName(name)] = secret
	}
	addr, err := metrics.Loopback(cfg.Addr)
	if err != nil {
		return nil, fmt.Errorf("dns: %w", err)
	}
	udp, tcp, err := both(ctx, addr)
	if err != nil {
		return nil, fmt.Errorf("dns: %w", err)
	}
	s.addr = tcp.Addr().String()
	s.udp = &dns.Server{PacketConn: udp, UDPSize: dns.DefaultMsgSize}
	s.tcp = &dns.Server{Listener: tcp, MaxTCPQueries: -1}
	for _, d := range []*dns.Server{s.udp, s.tcp} {
		up := make(chan struct{})
		d.Handler, d.TsigSecret, d.MsgAcceptFunc, d.NotifyStartedFunc = s, secrets, accept, func() { close(up) }
		s.ended.Add(1)
		go func() {
			defer s.ended.Done()
			_ = d.ActivateAndServe() // ends with its listener, which is ours alone
		}()
		<-up
	}
	context.AfterFunc(ctx, s.Close)
	return s, nil
}

// both listens at one port by UDP and TCP. A free port of one may be taken by another program for
// the other, so it tries some.
func both(ctx context.Context, addr string) (udp net.PacketConn, tcp net.Listener, err error) {
	var lc net.ListenConfig
	for range 10 {
		if tcp, err = lc.Listen(ctx, "tcp", addr); err != nil {
			return nil, nil, metrics.Taken(addr, err)
		}
		if udp, err = lc.ListenPacket(ctx, "udp", tcp.Addr().String()); err == nil {
			return udp, tcp, nil
		}
		_ = tcp.Close()
		if _, port, _ := net.SplitHostPort(addr); port != "0" {
			break
		}
	}
	return nil, nil, metrics.Taken(addr, err)
}

// Addr is the address at which the server listens, by UDP and by TCP.
func (s *Server) Addr() string { return s.addr }

// Close ends the server. After it its ports are closed.
func (s *Server) Close() {
	s.once.Do(func() {
		_ = s.udp.Shutdown()
		_ = s.tcp.Shutdown()
	})
	s.ended.Wait()
}

// Stats returns the counts.
func (s *Server) Stats() Stats {
	c := &s.counts
	return Stats{c.queries.Load(), c.empty.Load(), c.unknown.Load(), c.taken.Load(), c.refused.Load(), c.fenced.Load()}
}

// Metrics adds the server's metrics to a registry.
func (s *Server) Metrics(r *metrics.Registry) {
	for _, c := range []struct {
		name, help string
		n          *atomic.Int64
	}{
		{"queries", "Queries.", &s.counts.queries},
		{"empty_answers", "Queries for addresses that found the name and no record: the first sign of the outage.", &s.counts.empty},
		{"unknown_names", "Queries for a name that does not exist.", &s.counts.unknown},
		{"updates", "Updates that were made.", &s.counts.taken},
		{"updates_refused", "Updates without a valid signature.", &s.counts.refused},
		{"updates_fenced", "Updates whose prerequisite did not hold.", &s.counts.fenced},
	} {
		r.Counter("leasestorm_dns_"+c.name+"_total", c.help, nil, func() float64 { return float64(c.n.Load()) })
	}
}

// accept lets queries and updates through. The library's own refuses updates, and a query with
// more than one question is refused by it as here.
func accept(h dns.Header) dns.MsgAcceptAction {
	const response = 1 << 15
	if h.Bits&response != 0 {
		return dns.MsgIgnore
	}
	if opcode := int(h.Bits>>11) & 0xf; opcode != dns.OpcodeQuery && opcode != dns.OpcodeUpdate {
		return dns.MsgRejectNotImplemented
	}
	if h.Qdcount != 1 {
		return dns.MsgReject
	}
	return dns.MsgAccept
}

// ServeDNS implements dns.Handler.
func (s *Server) ServeDNS(w dns.ResponseWriter, req *dns.Msg) {
	m := new(dns.Msg)
	m.SetReply(req)
	m.Authoritative, m.RecursionAvailable = true, false
	if req.Opcode == dns.OpcodeUpdate {
		m.Rcode = s.signedUpdate(w, req)
	} else {
		s.query(m, req.Question[0])
	}
	size := dns.MinMsgSize
	if opt := req.IsEdns0(); opt != nil {
		size = max(size, int(opt.UDPSize()))
		m.SetEdns0(dns.DefaultMsgSize, false)
	}
	if w.LocalAddr().Network() == "udp" {
		m.Truncate(size)
	}
	sign(m, w, req)
	_ = w.WriteMsg(m) // a client that has gone gets no answer
}

// sign signs the reply to a signed request. It comes last, as the signature covers the rest. The
// library leaves a reply to a bad key or signature unsigned, as the RFC wants it.
func sign(m *dns.Msg, w dns.ResponseWriter, req *dns.Msg) {
	t := req.IsTsig()
	if t == nil {
		return
	}
	m.SetTsig(t.Hdr.Name, t.Algorithm, t.Fudge, int64(t.TimeSigned))
	if err := w.TsigStatus(); err != nil {
		m.Rcode = dns.RcodeNotAuth
		m.IsTsig().Error = tsigError(err)
	}
}

// tsigError is the code for what is wrong with a signature. Without the key or the algorithm a
// reply cannot be signed.
func tsigError(err error) uint16 {
	switch {
	case errors.Is(err, dns.ErrSecret), errors.Is(err, dns.ErrKeyAlg):
		return dns.RcodeBadKey
	case errors.Is(err, dns.ErrTime):
		return dns.RcodeBadTime
	}
	return dns.RcodeBadSig
}

// signedUpdate makes an update if it is signed, and returns the code of the answer.
func (s *Server) signedUpdate(w dns.ResponseWriter, req *dns.Msg) int {
	// The status of a request without a signature is nil as well.
	if req.IsTsig() == nil {
		s.counts.refused.Inc()
		return dns.RcodeRefused
	}
	if w.TsigStatus() != nil {
		s.counts.refused.Inc()
		return dns.RcodeNotAuth
	}
	s.mu.Lock()
	rcode := s.update(req)
	s.mu.Unlock()
	switch rcode {
	case dns.RcodeSuccess:
		s.counts.taken.Inc()
	case dns.RcodeNXRrset, dns.RcodeYXRrset, dns.RcodeNameError, dns.RcodeYXDomain:
		s.counts.fenced.Inc()
	}
	return rcode
}

// zoneOf is the zone that has the name; nil: none.
func (s *Server) zoneOf(name string) *zone {
	for off, end := 0, false; !end; off, end = dns.NextLabel(name, off) {
		if z := s.zones[name[off:]]; z != nil {
			return z
		}
	}
	return nil
}

// query answers a question.
func (s *Server) query(m *dns.Msg, q dns.Question) {
	turn := s.counts.queries.Inc()
	name := dns.CanonicalName(q.Name)
	s.mu.RLock()
	defer s.mu.RUnlock()
	z := s.zoneOf(name)
	switch {
	case z == nil, q.Qclass != dns.ClassINET && q.Qclass != dns.ClassANY:
		m.Authoritative, m.Rcode = false, dns.RcodeRefused
		return
	case q.Qtype == dns.TypeAXFR || q.Qtype == dns.TypeIXFR:
		m.Authoritative, m.Rcode = false, dns.RcodeRefused
		return
	}
	m.Answer = z.answer(q.Name, q.Qtype, int(turn), longestChain)
	if len(m.Answer) > 0 {
		return
	}
	m.Ns = []dns.RR{z.soa()}
	switch {
	case z.below[name] == 0:
		m.Rcode = dns.RcodeNameError
		s.counts.unknown.Inc()
	case q.Qtype == dns.TypeA:
		s.counts.empty.Inc()
	}
}

// Port is the port of an address HOST:PORT that a Listen of this process returned.
func Port(addr string) int {
	_, port, _ := net.SplitHostPort(addr)
	n, _ := strconv.Atoi(port)
	return n
}

// Alias stands before a name in the name of the record that makes it an alias.
const Alias = "_alias."
