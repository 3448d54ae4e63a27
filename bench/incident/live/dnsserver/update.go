package dnsserver

import (
	"maps"
	"slices"

	"github.com/miekg/dns"
)

// update makes an update whose signature is good (RFC 2136, section 3), and returns the code of
// the answer. The server's lock is held.
func (s *Server) update(req *dns.Msg) int {
	q := req.Question[0]
	if q.Qtype != dns.TypeSOA {
		return dns.RcodeFormatError
	}
	z := s.zones[dns.CanonicalName(q.Name)]
	if z == nil || q.Qclass != dns.ClassINET {
		return dns.RcodeNotAuth
	}
	if rcode := z.prerequisites(req.Answer); rcode != dns.RcodeSuccess {
		return rcode
	}
	for _, rr := range req.Ns {
		if rcode := z.scan(rr); rcode != dns.RcodeSuccess {
			return rcode
		}
	}
	changed := false
	for _, rr := range req.Ns {
		changed = z.apply(rr) || changed
	}
	if changed {
		z.sets[z.name][dns.TypeSOA][0].(*dns.SOA).Serial++
	}
	return dns.RcodeSuccess
}

// set names a set of records.
type set struct {
	owner string
	kind  uint16
}

// prerequisites checks what must hold before an update (section 3.2).
func (z *zone) prerequisites(rrs []dns.RR) int {
	wanted := map[set][]dns.RR{}
	for _, rr := range rrs {
		h := rr.Header()
		owner := dns.CanonicalName(h.Name)
		sets := z.sets[owner]
		switch {
		case h.Ttl != 0, h.Class != dns.ClassINET && h.Rdlength != 0:
			return dns.RcodeFormatError
		case !z.has(owner):
			return dns.RcodeNotZone
		}
		switch {
		case h.Class == dns.ClassANY && h.Rrtype == dns.TypeANY:
			if len(sets) == 0 {
				return dns.RcodeNameError
			}
		case h.Class == dns.ClassANY:
			if len(sets[h.Rrtype]) == 0 {
				return dns.RcodeNXRrset
			}
		case h.Class == dns.ClassNONE && h.Rrtype == dns.TypeANY:
			if len(sets) > 0 {
				return dns.RcodeYXDomain
			}
		case h.Class == dns.ClassNONE:
			if len(sets[h.Rrtype]) > 0 {
				return dns.RcodeYXRrset
			}
		case h.Class == dns.ClassINET:
			k := set{owner, h.Rrtype}
			wanted[k] = append(wanted[k], rr)
		default:
			return dns.RcodeFormatError
		}
	}
	for k, rrs := range wanted {
		if !same(rrs, z.sets[k.owner][k.kind]) {
			return dns.RcodeNXRrset
		}
	}
	return dns.RcodeSuccess
}

// same reports whether two sets have the same records, whatever their TTLs.
func same(a, b []dns.RR) bool {
	in := func(b []dns.RR) func(dns.RR) bool {
		return func(x dns.RR) bool {
			return !slices.ContainsFunc(b, func(y dns.RR) bool { return dns.IsDuplicate(x, y) })
		}
	}
	return !slices.ContainsFunc(a, in(b)) && !slices.ContainsFunc(b, in(a))
}

// scan checks one record of an update (section 3.4.1).
func (z *zone) scan(rr dns.RR) int {
	h := rr.Header()
	meta := h.Rrtype >= dns.TypeIXFR && h.Rrtype < dns.TypeANY || h.Rrtype == dns.TypeOPT
	switch h.Class {
	case dns.ClassINET:
		if meta || h.Rrtype == dns.TypeANY || h.Rdlength == 0 {
			return dns.RcodeFormatError
		}
	case dns.ClassANY:
		if meta || h.Ttl != 0 || h.Rdlength != 0 {
			return dns.RcodeFormatError
		}
	case dns.ClassNONE:
		if meta || h.Ttl != 0 || h.Rrtype == dns.TypeANY {
			return dns.RcodeFormatError
		}
	default:
		return dns.RcodeFormatError
	}
	if !z.has(dns.CanonicalName(h.Name)) {
		return dns.RcodeNotZone
	}
	return dns.RcodeSuccess
}

// apply makes one record's change (section 3.4.2), and reports whether it changed something.
func (z *zone) apply(rr dns.RR) bool {
	h := rr.Header()
	owner := dns.CanonicalName(h.Name)
	sets := z.sets[owner]
	fixed := func(kind uint16) bool { // the zone's own records stay
		return owner == z.name && (kind == dns.TypeSOA || kind == dns.TypeNS)
	}
	switch {
	case h.Class == dns.ClassINET:
		return z.add(rr, owner, sets)
	case h.Class == dns.ClassANY && h.Rrtype == dns.TypeANY:
		kinds := slices.DeleteFunc(slices.Collect(maps.Keys(sets)), fixed)
		for _, kind := range kinds {
			z.drop(owner, kind)
		}
		return len(kinds) > 0
	case h.Class == dns.ClassANY:
		if len(sets[h.Rrtype]) == 0 || fixed(h.Rrtype) {
			return false
		}
		z.drop(owner, h.Rrtype)
		return true
	}
	// One record goes. The zone keeps its SOA, and the last of its servers.
	old := sets[h.Rrtype]
	if fixed(h.Rrtype) && len(old) < 2 {
		return false
	}
	gone := dns.Copy(rr)
	gone.Header().Class = dns.ClassINET
	left := slices.DeleteFunc(slices.Clone(old), func(o dns.RR) bool { return dns.IsDuplicate(o, gone) })
	switch len(left) {
	case len(old):
		return false
	case 0:
		z.drop(owner, h.Rrtype)
	default:
		sets[h.Rrtype] = left
	}
	return true
}

// add adds a record, unless it is the zone's SOA or a CNAME meets other records.
func (z *zone) add(rr dns.RR, owner string, sets map[uint16][]dns.RR) bool {
	kind := rr.Header().Rrtype
	_, cname := sets[dns.TypeCNAME]
	switch {
	case kind == dns.TypeSOA: // the server counts its serials itself
		return false
	case kind == dns.TypeCNAME && len(sets) > 0 && !cname, kind != dns.TypeCNAME && cname:
		return false
	}
	rr = dns.Copy(rr)
	rr.Header().Name = owner
	z.put(rr)
	return true
}
