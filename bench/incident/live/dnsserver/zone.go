package dnsserver

import (
	"maps"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// zone has the records of one zone. The server's lock protects it.
type zone struct {
	name string
	sets map[string]map[uint16][]dns.RR // by owner and type; no set is empty
	// below counts, for each name, the owners at or below it. A name with owners below it exists,
	// even if it has no records (RFC 8020).
	below map[string]int
}

// ttl is how long, in seconds, the records that a new zone begins with may be remembered.
const ttl = 60

func newZone(name string, negative uint32) *zone {
	z := &zone{name: name, sets: map[string]map[uint16][]dns.RR{}, below: map[string]int{}}
	head := func(owner string, kind uint16) dns.RR_Header {
		return dns.RR_Header{Name: owner, Rrtype: kind, Class: dns.ClassINET, Ttl: ttl}
	}
	z.put(&dns.SOA{
		Hdr: head(name, dns.TypeSOA), Ns: "ns." + name, Mbox: "hostmaster." + name, Serial: 1,
		Refresh: 3600, Retry: 600, Expire: 86400, Minttl: negative,
	})
	z.put(&dns.NS{Hdr: head(name, dns.TypeNS), Ns: "ns." + name})
	z.put(&dns.A{Hdr: head("ns."+name, dns.TypeA), A: []byte{127, 0, 0, 1}})
	return z
}

// has reports whether a name lies in the zone.
func (z *zone) has(name string) bool { return dns.IsSubDomain(z.name, name) }

// soa is the zone's SOA as a negative answer has it: it may be remembered as long as the answer.
func (z *zone) soa() *dns.SOA {
	soa := dns.Copy(z.sets[z.name][dns.TypeSOA][0]).(*dns.SOA)
	soa.Hdr.Ttl = min(soa.Hdr.Ttl, soa.Minttl)
	return soa
}

// longestChain is the largest number of CNAMEs that are followed.
const longestChain = 8

// answer returns the records of a kind at a name, which keep the case of the question. turn
// says with which address the answer begins.
func (z *zone) answer(asked string, kind uint16, turn, chain int) (rrs []dns.RR) {
	owner := dns.CanonicalName(asked)
	if kind == dns.TypeA || kind == dns.TypeAAAA {
		owner = z.target(owner)
	}
	sets := z.sets[owner]
	for _, k := range slices.Sorted(maps.Keys(sets)) {
		if k == kind || kind == dns.TypeANY {
			rrs = append(rrs, as(asked, sets[k], turn)...)
		}
	}
	if cname := sets[dns.TypeCNAME]; len(rrs) == 0 && len(cname) > 0 && chain > 0 {
		rrs = as(asked, cname, 0)
		if to := cname[0].(*dns.CNAME).Target; z.has(dns.CanonicalName(to)) {
			rrs = append(rrs, z.answer(to, kind, turn, chain-1)...)
		}
	}
	return rrs
}

// target is the name whose addresses are the name's: itself, or where its alias points.
func (z *zone) target(name string) string {
	for _, rr := range z.sets[Alias+name][dns.TypeTXT] {
		return dns.CanonicalName(strings.Join(rr.(*dns.TXT).Txt, ""))
	}
	return name
}

// as returns copies of the records under the name that was asked for, beginning at another one
// each turn.
func as(asked string, set []dns.RR, turn int) []dns.RR {
	rrs := make([]dns.RR, len(set))
	for i := range set {
		rrs[i] = dns.Copy(set[(i+turn)%len(set)])
		rrs[i].Header().Name = asked
	}
	return rrs
}

// put adds a record. One that is there already gets the new TTL, and so do the others of its set:
// a set has one TTL.
func (z *zone) put(rr dns.RR) {
	h := rr.Header()
	owner := dns.CanonicalName(h.Name)
	sets := z.sets[owner]
	if sets == nil {
		sets = map[uint16][]dns.RR{}
		z.sets[owner] = sets
		z.count(owner, 1)
	}
	set := slices.DeleteFunc(sets[h.Rrtype], func(o dns.RR) bool { return h.Rrtype == dns.TypeCNAME || dns.IsDuplicate(o, rr) })
	for i := range set {
		set[i].Header().Ttl = h.Ttl
	}
	sets[h.Rrtype] = append(set, rr)
}

// drop takes a set away. The last set of a name takes the name with it.
func (z *zone) drop(owner string, kind uint16) {
	sets := z.sets[owner]
	if _, ok := sets[kind]; !ok {
		return
	}
	if delete(sets, kind); len(sets) == 0 {
		delete(z.sets, owner)
		z.count(owner, -1)
	}
}

// count counts an owner in or out, for all names from it up to the zone's.
func (z *zone) count(owner string, n int) {
	for off, end := 0, false; !end && z.has(owner[off:]); off, end = dns.NextLabel(owner, off) {
		if z.below[owner[off:]] += n; z.below[owner[off:]] == 0 {
			delete(z.below, owner[off:])
		}
	}
}
