package client

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"
)

// schemes opens protocols by the scheme of a URL.
var schemes = map[string]func(Settings) (Protocol, error){}

func init() {
	open := func(s Settings) (Protocol, error) { return OpenHTTP(s) }
	Register("http", open)
	Register("https", open)
}

// defaultPorts are the ports of URLs without one.
var defaultPorts = map[string]string{"http": "80", "https": "443", "grpc": "80", "grpcs": "443", "etcd": "2379", "etcds": "2379"}

// HostPort returns the address of a URL, with its scheme's port if it names none.
func HostPort(target string) (string, error) {
	u, err := (&Settings{URL: target}).url()
	if err != nil {
		return "", err
	}
	return net.JoinHostPort(u.Hostname(), portOf(u)), nil
}

// portOf is the port of a URL: its own, or its scheme's.
func portOf(u *url.URL) string { return cmp.Or(u.Port(), defaultPorts[u.Scheme], "80") }

// full are the schemes of the full command: a module of their own, since their libraries are large.
var full = []string{"grpc", "grpcs", "etcd", "etcds"}

// Register adds the protocol of a scheme. Call it from an init function or from main.
func Register(scheme string, open func(Settings) (Protocol, error)) { schemes[scheme] = open }

// Open opens the protocol that the URL's scheme names. Errors wrap ErrSettings.
func Open(s Settings) (Protocol, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	u, err := s.url()
	if err != nil {
		return nil, err
	}
	return schemes[u.Scheme](s) // Validate knows that there is one
}

// known is an error if no protocol has the scheme.
func known(scheme string) error {
	if schemes[scheme] != nil {
		return nil
	}
	if slices.Contains(full, scheme) {
		return bad("url", "%s:// needs the full command: 'make storm' builds bin/leasestorm-storm; this program speaks %s", scheme, strings.Join(slices.Sorted(maps.Keys(schemes)), ", "))
	}
	return bad("url", "%s:// is no protocol of this program: want one of %s", scheme, strings.Join(slices.Sorted(maps.Keys(schemes)), ", "))
}

// Allowed returns an error, which wraps ErrSettings, unless the host of a URL is on loopback or is one of
// mayLoad: nobody's service is loaded by mistake.
func Allowed(target string, mayLoad []string) error {
	s := Settings{URL: target}
	u, err := s.url()
	if err != nil {
		return err
	}
	ips, err := net.LookupHost(u.Hostname())
	if err != nil && !named(u.Hostname(), mayLoad) {
		return bad("url", "%v", err)
	}
	return allowed(u.Hostname(), ips, mayLoad)
}

func named(host string, mayLoad []string) bool {
	return slices.ContainsFunc(mayLoad, func(m string) bool { return strings.EqualFold(m, host) })
}

// allowed is Allowed for the addresses of a host.
func allowed(host string, ips, mayLoad []string) error {
	if named(host, mayLoad) {
		return nil
	}
	for _, ip := range ips {
		if parsed := net.ParseIP(ip); parsed == nil || !parsed.IsLoopback() {
			return fmt.Errorf("%w: url: %s (%s) is not on loopback: a storm can take a service down; --i-may-load-this %s says that you may", ErrSettings, host, ip, host)
		}
	}
	return nil
}
