package enactors

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/leasestorm/leasestorm/bench/incident/live/dnsserver"
)

// Wire changes a zone by signed updates. Its methods are safe for concurrent use.
type Wire struct {
	Server string // HOST:PORT
	Zone   string // the zone's name, with the dot at its end
	Key    string // name of the key, with the dot at its end
	Secret string // in base64
	TTL    uint32 // of the records, in seconds
}

// FencedError is the error of an update whose prerequisite does not hold: somebody else was there
// first.
type FencedError struct{ Rcode int }

func (f *FencedError) Error() string {
	return "the name server refuses the update: its prerequisite does not hold (" + dns.RcodeToString[f.Rcode] + ")"
}

// timeout is the longest time for one answer of the server.
const timeout = 2 * time.Second

// exchange sends a message by TCP, so that no change is made twice.
func (w *Wire) exchange(ctx context.Context, m *dns.Msg) (*dns.Msg, error) {
	c := &dns.Client{Net: "tcp", Timeout: timeout, TsigSecret: map[string]string{w.Key: w.Secret}}
	r, _, err := c.ExchangeContext(ctx, m, w.Server)
	if err != nil {
		return nil, fmt.Errorf("dns %s: %w", w.Server, err)
	}
	return r, nil
}

// Update makes an update with everything in it, or nothing. The error is a FencedError if a prerequisite
// does not hold.
func (w *Wire) Update(ctx context.Context, build func(m *dns.Msg)) error {
	m := new(dns.Msg)
	m.SetUpdate(w.Zone)
	build(m)
	m.SetTsig(w.Key, dns.HmacSHA256, 300, time.Now().Unix())
	r, err := w.exchange(ctx, m)
	if err != nil {
		return err
	}
	switch r.Rcode {
	case dns.RcodeSuccess:
		return nil
	case dns.RcodeNXRrset, dns.RcodeYXRrset, dns.RcodeNameError, dns.RcodeYXDomain:
		return &FencedError{r.Rcode}
	}
	return fmt.Errorf("dns %s: the update is refused: %s", w.Server, dns.RcodeToString[r.Rcode])
}

// tree is the name of an endpoint's records of one plan.
func tree(endpoint string, plan int) string { return "p" + strconv.Itoa(plan) + "." + endpoint }

// rollback is the name of the record that points at the tree that was active before.
func rollback(endpoint string) string { return "_rollback." + endpoint }

func (w *Wire) text(name, text string) dns.RR {
	return &dns.TXT{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: w.TTL}, Txt: []string{text}}
}

// Delete deletes an endpoint's tree of one plan.
func (w *Wire) Delete(ctx context.Context, endpoint string, plan int) error {
	return w.Update(ctx, func(m *dns.Msg) {
		m.RemoveName([]dns.RR{&dns.ANY{Hdr: dns.RR_Header{Name: tree(endpoint, plan)}}})
	})
}

// Build makes an endpoint's tree of one plan: an address record per load balancer.
func (w *Wire) Build(ctx context.Context, endpoint string, plan int, balancers []netip.Addr) error {
	return w.Update(ctx, func(m *dns.Msg) {
		m.RemoveRRset(set(tree(endpoint, plan), dns.TypeA))
		for _, ip := range balancers {
			head := dns.RR_Header{Name: tree(endpoint, plan), Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: w.TTL}
			m.Insert([]dns.RR{&dns.A{Hdr: head, A: net.IP(ip.AsSlice())}})
		}
	})
}

// Flip points an endpoint's alias at a plan's tree and its roll-back record at the tree of plan was.
// That tree must have addresses: a roll-back to nothing cannot be built. With fence, the alias must
// still point at the tree of plan was. The server checks in the same moment what must hold. was is
// 0 where nothing was there, or does not matter.
func (w *Wire) Flip(ctx context.Context, endpoint string, plan, was int, fence bool) error {
	alias := dnsserver.Alias + endpoint
	return w.Update(ctx, func(m *dns.Msg) {
		switch {
		case was > 0:
			m.RRsetUsed(set(tree(endpoint, was), dns.TypeA))
			if fence {
				m.Used([]dns.RR{w.text(alias, tree(endpoint, was))})
			}
			m.RemoveRRset(set(rollback(endpoint), dns.TypeTXT))
			m.Insert([]dns.RR{w.text(rollback(endpoint), tree(endpoint, was))})
		case fence:
			m.RRsetNotUsed(set(alias, dns.TypeTXT))
		}
		m.RemoveRRset(set(alias, dns.TypeTXT))
		m.Insert([]dns.RR{w.text(alias, tree(endpoint, plan))})
	})
}

// set names a set of records.
func set(name string, kind uint16) []dns.RR {
	return []dns.RR{&dns.ANY{Hdr: dns.RR_Header{Name: name, Rrtype: kind, Class: dns.ClassINET}}}
}

// Active is the plan at whose tree an endpoint's alias points; 0: there is no alias.
func (w *Wire) Active(ctx context.Context, endpoint string) (plan int, err error) {
	r, err := w.query(ctx, dnsserver.Alias+endpoint, dns.TypeTXT)
	if err != nil {
		return 0, err
	}
	for _, rr := range r.Answer {
		if t, ok := rr.(*dns.TXT); ok {
			head, _, _ := strings.Cut(strings.Join(t.Txt, ""), ".")
			return strconv.Atoi(strings.TrimPrefix(head, "p"))
		}
	}
	return 0, nil
}

// Addresses are what a client is told that asks for the endpoint.
func (w *Wire) Addresses(ctx context.Context, endpoint string) (ips []netip.Addr, err error) {
	r, err := w.query(ctx, endpoint, dns.TypeA)
	if err != nil {
		return nil, err
	}
	for _, rr := range r.Answer {
		if a, ok := rr.(*dns.A); ok {
			if ip, ok := netip.AddrFromSlice(a.A); ok {
				ips = append(ips, ip.Unmap())
			}
		}
	}
	return ips, nil
}

func (w *Wire) query(ctx context.Context, name string, kind uint16) (*dns.Msg, error) {
	m := new(dns.Msg)
	m.SetQuestion(name, kind)
	r, err := w.exchange(ctx, m)
	if err != nil {
		return nil, err
	}
	if r.Rcode != dns.RcodeSuccess && r.Rcode != dns.RcodeNameError {
		return nil, errors.New("dns " + w.Server + ": " + name + ": " + dns.RcodeToString[r.Rcode])
	}
	return r, nil
}
