package wire

import (
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/metadata"

	"github.com/leasestorm/leasestorm/bench/client"
	"github.com/leasestorm/leasestorm/queue"
)

// Target is what the protocols of this module have in common: where the service is, and how it is asked.
type Target struct {
	client.Settings
	URL    *url.URL
	Query  url.Values
	Rules  *client.Rules
	dialer *client.Dialer
	secure bool
	heads  [queue.Classes]heads
}

// heads are the metadata of a class of calls.
type heads struct {
	fixed metadata.MD
	names []string
	texts []client.Template
	told  bool // the server is told the deadline, even if the client does not cancel
}

// Read reads the settings, and refuses those that these protocols do not have. keys are those of the
// URL's query.
func Read(s client.Settings, keys ...string) (*Target, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	t := &Target{Settings: s}
	var err error
	if t.URL, err = url.Parse(s.URL); err != nil {
		return nil, client.Bad("url", "%v", err)
	}
	if t.Query, err = url.ParseQuery(t.URL.RawQuery); err != nil {
		return nil, client.Bad("url", "%v", err)
	}
	for _, key := range slices.Sorted(maps.Keys(t.Query)) {
		if !slices.Contains(keys, key) {
			return nil, client.Bad("url", "?%s=: %s:// has no such value: it has %s", key, t.URL.Scheme, strings.Join(keys, ", "))
		}
	}
	from := client.Default()
	if s.Connections.Protocol != from.Connections.Protocol {
		return nil, client.Bad("connections.protocol", "%s is for http: %s:// is HTTP/2 by itself", s.Connections.Protocol, t.URL.Scheme)
	}
	t.Rules, _ = s.Rules() // valid
	for class := range queue.Classes {
		r := s.Of(class)
		if r.Method != from.Request.Method {
			return nil, client.Bad("request.method", "%s: a method of HTTP, which %s:// has no choice of", r.Method, t.URL.Scheme)
		}
		if t.heads[class], err = headers(r.Headers); err != nil {
			return nil, err
		}
	}
	t.secure = strings.HasSuffix(t.URL.Scheme, "s")
	t.dialer, err = client.NewDialer(&s, t.secure, "h2")
	return t, err
}

// reserved are the names of metadata that gRPC writes itself.
var reserved = []string{"content-type", "te", "user-agent", "grpc-encoding", "grpc-message", "grpc-message-type", "grpc-status", "grpc-accept-encoding"}

// deadlineText is the only text of a header grpc-timeout.
const deadlineText = "{left_ms}m"

func headers(all map[string]string) (h heads, err error) {
	for _, name := range slices.Sorted(maps.Keys(all)) {
		key, text := "request.headers."+name, all[name]
		switch name = strings.ToLower(name); {
		case name == "grpc-timeout" && text != deadlineText:
			return h, client.Bad(key, "%q: want %q: the deadline is the attempt's", text, deadlineText)
		case name == "grpc-timeout":
			h.told = true
			continue
		case slices.Contains(reserved, name):
			return h, client.Bad(key, "gRPC writes it itself")
		case strings.Trim(name, "0123456789abcdefghijklmnopqrstuvwxyz-_.") != "":
			return h, client.Bad(key, "a name of metadata has letters, digits, -, _ and . only")
		case !strings.HasSuffix(name, "-bin") && strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c > '~' }):
			return h, client.Bad(key, "%q: a value of metadata is printable ASCII, unless the name ends in -bin", text)
		}
		t, err := client.ParseTemplate(key, text)
		if err != nil {
			return h, err
		}
		if t.Fixed() {
			h.fixed = metadata.Join(h.fixed, metadata.Pairs(name, string(t.Append(nil, &client.Attempt{}, time.Time{}))))
			continue
		}
		h.names, h.texts = append(h.names, name), append(h.texts, t)
	}
	return h, nil
}

// Varies reports whether the headers of a class differ by attempt.
func (t *Target) Varies(class queue.Class) bool {
	return len(t.heads[class].names) > 0 || t.heads[class].told
}

// Streams implements client.Protocol.
func (t *Target) Streams() int {
	if t.Connections.Pool == "droplet" {
		return 1
	}
	return t.Connections.Streams
}
