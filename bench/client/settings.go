package client

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"github.com/leasestorm/leasestorm/queue"
)

// Settings are how the droplets call a service: a TOML file, or KEY=VALUE each. [Keys] documents them.
type Settings struct {
	// URL is the service's, with scheme, host, port and path.
	URL string `json:"url"`
	// Via, if set, is the address (host:port) that is connected to instead of the URL's.
	Via string `json:"-"`
	// MayLoad are the hosts beside loopback that may be called.
	MayLoad []string `json:"-"`

	Prime       bool               `json:"prime"`
	Request     Request            `json:"request"`
	Class       map[string]Request `json:"class,omitempty"` // by class: what differs from Request
	Answers     Answers            `json:"answers"`
	Connections Connections        `json:"connections"`
	Limits      Limits             `json:"limits"`
}

// Request is the template of a request.
type Request struct {
	Method  string            `json:"method,omitempty"`
	Path    string            `json:"path,omitempty"`
	Headers map[string]string `json:"headers,omitempty"`
	Body    string            `json:"body,omitempty"`
}

// Answers say which outcome a status means.
type Answers struct {
	Good       string `json:"good"`
	Late       string `json:"late"`
	Shed       string `json:"shed"`
	Failed     string `json:"failed"`
	ShedHeader string `json:"shed_header,omitempty"`
	Most       int64  `json:"most"` // bytes of an answer
}

// Connections say how connections are opened, shared and closed.
type Connections struct {
	Protocol string        `json:"protocol"`
	Pool     string        `json:"pool"`
	Most     int           `json:"most"`
	Streams  int           `json:"streams"`
	Lifetime time.Duration `json:"lifetime_ns"`
	Cancel   bool          `json:"cancel"`
	Patience time.Duration `json:"patience_ns"`
	Abort    bool          `json:"abort"`
	CA       string        `json:"ca,omitempty"`
	Insecure bool          `json:"insecure"`
	From     string        `json:"from,omitempty"`
}

// Limits keep a storm small that was meant to be small.
type Limits struct {
	Rate     float64 `json:"rate"`     // requests a second
	Requests uint64  `json:"requests"` // of a run
}

// Default returns the settings that hold where nothing else is said.
func Default() Settings {
	return Settings{
		Prime:       true,
		Request:     Request{Method: "POST", Path: "/{droplet}"},
		Answers:     Answers{Good: "2xx, OK", Shed: "429, 503, RESOURCE_EXHAUSTED, UNAVAILABLE", Late: "408, 504, DEADLINE_EXCEEDED", Most: 1 << 20},
		Connections: Connections{Protocol: "http/1.1", Pool: "shared", Most: 4096, Streams: 100, Cancel: true, Patience: time.Minute},
		Limits:      Limits{Rate: 200_000, Requests: 50_000_000},
	}
}

// Key is a key of the settings.
type Key struct {
	Name string
	at   func(*Settings) any
	// Low and High bound a number, in Unit; a time is in seconds.
	Low, High float64
	Unit, Doc string
	Options   []string // the only values of a text; nil: any
}

// Keys lists all keys. Below class.CLASS (check, establish, launch) stand the keys of request for that
// class; request.headers.NAME is a header.
func Keys() []Key { return slices.Clone(keys) }

var keys = []Key{
	{Name: "prime", at: func(s *Settings) any { return &s.Prime }, Doc: "before the run each droplet establishes its lease, which measures the service's capacity; false: the capacity is the scenario's"},
	{Name: "request.method", at: func(s *Settings) any { return &s.Request.Method }, Doc: "method of HTTP"},
	{Name: "request.path", at: func(s *Settings) any { return &s.Request.Path }, Doc: "template of what follows the URL's path"},
	{Name: "request.body", at: func(s *Settings) any { return &s.Request.Body }, Doc: "template of the body; empty: none"},
	{Name: "answers.good", at: func(s *Settings) any { return &s.Answers.Good }, Doc: "statuses of good answers: codes, classes, ranges and names, as in \"2xx, 404, 500-599, OK\""},
	{Name: "answers.late", at: func(s *Settings) any { return &s.Answers.Late }, Doc: "statuses that say that the deadline has passed"},
	{Name: "answers.shed", at: func(s *Settings) any { return &s.Answers.Shed }, Doc: "statuses of refusals; Retry-After counts with them"},
	{Name: "answers.failed", at: func(s *Settings) any { return &s.Answers.Failed }, Doc: "statuses of failures; what is in no list has failed, too"},
	{Name: "answers.shed_header", at: func(s *Settings) any { return &s.Answers.ShedHeader }, Doc: "NAME or NAME=VALUE: an answer with this header was shed, whatever its status"},
	{"answers.most", func(s *Settings) any { return &s.Answers.Most }, 0, 1 << 30, "bytes", "largest answer that is read; a larger one has failed", nil},
	{Name: "connections.protocol", at: func(s *Settings) any { return &s.Connections.Protocol }, Doc: "h2 needs https; h2c is HTTP/2 without TLS", Options: []string{"http/1.1", "h2", "h2c"}},
	{Name: "connections.pool", at: func(s *Settings) any { return &s.Connections.Pool }, Doc: "who shares connections: all droplets, or each has one of its own", Options: []string{"shared", "droplet"}},
	{"connections.most", func(s *Settings) any { return &s.Connections.Most }, 1, 1_000_000, "connections", "open at a time; attempts above it wait, and the wait counts", nil},
	{"connections.streams", func(s *Settings) any { return &s.Connections.Streams }, 1, 10_000, "calls", "at a time per connection of HTTP/2", nil},
	{"connections.lifetime", func(s *Settings) any { return &s.Connections.Lifetime }, 0, 86400, "s", "after which a connection is closed; 0: never", nil},
	{Name: "connections.cancel", at: func(s *Settings) any { return &s.Connections.Cancel }, Doc: "at the timeout HTTP/1.1 closes the connection, HTTP/2 resets the stream; false: the answer is waited for, and is late"},
	{"connections.patience", func(s *Settings) any { return &s.Connections.Patience }, 0.001, 86400, "s", "without cancel: how long after the attempt's birth an answer is waited for", nil},
	{Name: "connections.abort", at: func(s *Settings) any { return &s.Connections.Abort }, Doc: "connections are closed by RST, which leaves no local port in TIME_WAIT"},
	{Name: "connections.ca", at: func(s *Settings) any { return &s.Connections.CA }, Doc: "PEM file of the certificates to trust; empty: the system's"},
	{Name: "connections.insecure", at: func(s *Settings) any { return &s.Connections.Insecure }, Doc: "the service's certificate is not checked"},
	{Name: "connections.from", at: func(s *Settings) any { return &s.Connections.From }, Doc: "local addresses to call from in turns, as in \"127.0.0.1, 127.0.0.2\": about 28,000 ports each"},
	{"limits.rate", func(s *Settings) any { return &s.Limits.Rate }, 0, 1e9, "requests/s", "a run that would exceed it ends and is invalid; 0: no limit", nil},
	{"limits.requests", func(s *Settings) any { return &s.Limits.Requests }, 0, 1e15, "requests", "a run that has made so many ends and is invalid; 0: no limit", nil},
}

// Bad is an error about a key of the settings, or about "url", for protocols of other modules. It wraps
// ErrSettings.
func Bad(key, format string, args ...any) error { return bad(key, format, args...) }

func bad(key, format string, args ...any) error {
	return fmt.Errorf("%w: %s: %s", ErrSettings, key, fmt.Sprintf(format, args...))
}

// Parse reads settings in TOML, with defaults for what is left out. name is the text's in errors, which
// wrap ErrSettings.
func Parse(name string, text []byte) (Settings, error) {
	s := Default()
	var tree map[string]any
	if err := toml.Unmarshal(bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")), &tree); err != nil {
		if e, ok := errors.AsType[*toml.DecodeError](err); ok {
			line, column := e.Position()
			return s, fmt.Errorf("%s:%d:%d: %w: %s", name, line, column, ErrSettings, strings.TrimPrefix(e.Error(), "toml: "))
		}
		return s, fmt.Errorf("%s: %w: %w", name, ErrSettings, err)
	}
	if err := s.take("", tree); err != nil {
		return s, fmt.Errorf("%s: %w", name, err)
	}
	return s, nil
}

// take sets the values of a table.
func (s *Settings) take(prefix string, tree map[string]any) error {
	for _, name := range slices.Sorted(maps.Keys(tree)) {
		key := prefix + name
		var err error
		switch v := tree[name].(type) {
		case map[string]any:
			err = s.take(key+".", v)
		case string, bool:
			err = s.set(key, fmt.Sprint(v))
		case int64, float64:
			err = s.set(key, fmt.Sprint(v))
		default:
			err = bad(key, "a %T: want a text, a number, true or false", v)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Set sets keys, each "key=value". Errors wrap ErrSettings.
func (s *Settings) Set(assignments ...string) error {
	for _, a := range assignments {
		key, value, ok := strings.Cut(a, "=")
		if !ok {
			return bad(a, "want KEY=VALUE, as in connections.most=100")
		}
		if err := s.set(strings.TrimSpace(key), value); err != nil {
			return err
		}
	}
	return nil
}

// set sets one key from its text.
func (s *Settings) set(key, text string) error {
	if class, rest, ok := strings.Cut(strings.TrimPrefix(key, "class."), "."); ok && strings.HasPrefix(key, "class.") {
		if !slices.Contains(classes(), class) {
			return bad(key, "there is no class %q: want %s", class, strings.Join(classes(), ", "))
		}
		own := Settings{Request: s.Class[class]}
		own.Request.Headers = maps.Clone(own.Request.Headers)
		if rest == "prime" || !strings.HasPrefix(rest, "headers.") && !slices.Contains([]string{"method", "path", "body"}, rest) {
			return bad(key, "unknown key; a class has method, path, body and headers.NAME")
		}
		if err := own.set("request."+rest, text); err != nil {
			return err
		}
		s.Class = maps.Clone(s.Class)
		if s.Class == nil {
			s.Class = map[string]Request{}
		}
		s.Class[class] = own.Request
		return nil
	}
	if name, ok := strings.CutPrefix(key, "request.headers."); ok {
		s.Request.Headers = maps.Clone(s.Request.Headers)
		if s.Request.Headers == nil {
			s.Request.Headers = map[string]string{}
		}
		s.Request.Headers[name] = text
		return nil
	}
	i := slices.IndexFunc(keys, func(k Key) bool { return k.Name == key })
	if i < 0 {
		var names []string
		for _, k := range keys {
			names = append(names, k.Name)
		}
		return bad(key, "unknown key; there are: %s, request.headers.NAME, class.CLASS.(method, path, body, headers.NAME)", strings.Join(names, ", "))
	}
	return keys[i].parse(s, text)
}

func (k *Key) parse(s *Settings, text string) error {
	number := func() (float64, error) {
		x, err := strconv.ParseFloat(text, 64)
		if err != nil || !(x >= k.Low && x <= k.High) {
			return 0, bad(k.Name, "%q: want %g to %g %s", text, k.Low, k.High, k.Unit)
		}
		return x, nil
	}
	switch at := k.at(s).(type) {
	case *string:
		if k.Options != nil && !slices.Contains(k.Options, text) {
			return bad(k.Name, "%q: want %s", text, strings.Join(k.Options, ", "))
		}
		*at = text
	case *bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return bad(k.Name, "%q: want true or false", text)
		}
		*at = b
	case *time.Duration:
		d, err := time.ParseDuration(text)
		if err != nil || !(d.Seconds() >= k.Low && d.Seconds() <= k.High) {
			return bad(k.Name, `%q: want a time of %g to %g s, as in "5s"`, text, k.Low, k.High)
		}
		*at = d
	case *int:
		x, err := number()
		if err != nil || x != math.Trunc(x) {
			return bad(k.Name, "%q: want a whole number of %g to %g %s", text, k.Low, k.High, k.Unit)
		}
		*at = int(x)
	case *int64:
		x, err := number()
		if err != nil || x != math.Trunc(x) {
			return bad(k.Name, "%q: want a whole number of %g to %g %s", text, k.Low, k.High, k.Unit)
		}
		*at = int64(x)
	case *uint64:
		x, err := number()
		if err != nil || x != math.Trunc(x) {
			return bad(k.Name, "%q: want a whole number of %g to %g %s", text, k.Low, k.High, k.Unit)
		}
		*at = uint64(x)
	case *float64:
		x, err := number()
		if err != nil {
			return err
		}
		*at = x
	}
	return nil
}

// value is a key's value in TOML.
func (k *Key) value(s *Settings) string {
	switch at := k.at(s).(type) {
	case *string:
		return quoted(*at)
	case *time.Duration:
		return quoted(at.String())
	case *bool:
		return strconv.FormatBool(*at)
	case *int:
		return strconv.Itoa(*at)
	case *int64:
		return strconv.FormatInt(*at, 10)
	case *uint64:
		return strconv.FormatUint(*at, 10)
	case *float64:
		return strconv.FormatFloat(*at, 'f', -1, 64)
	}
	return ""
}

func quoted(text string) string {
	out, err := toml.Marshal(map[string]string{"x": text})
	if err != nil {
		panic(err) // a text
	}
	_, text, _ = strings.Cut(strings.TrimSpace(string(out)), " = ")
	return text
}

// TOML returns the settings as a file that [Parse] reads back, without the URL.
func (s *Settings) TOML() string {
	var b strings.Builder
	for _, k := range keys {
		if v := k.value(s); v != `""` && v != "''" {
			fmt.Fprintf(&b, "%s = %s\n", k.Name, v)
		}
	}
	headers := func(prefix string, r Request) {
		for _, h := range slices.Sorted(maps.Keys(r.Headers)) {
			fmt.Fprintf(&b, "%sheaders.%s = %s\n", prefix, quoted(h), quoted(r.Headers[h]))
		}
	}
	headers("request.", s.Request)
	for _, class := range slices.Sorted(maps.Keys(s.Class)) {
		r := s.Class[class]
		for _, v := range [][2]string{{"method", r.Method}, {"path", r.Path}, {"body", r.Body}} {
			if v[1] != "" {
				fmt.Fprintf(&b, "class.%s.%s = %s\n", class, v[0], quoted(v[1]))
			}
		}
		headers("class."+class+".", r)
	}
	return b.String()
}

// classes are the names of the classes.
func classes() (names []string) {
	for c := range queue.Classes {
		names = append(names, c.String())
	}
	return names
}

// Of returns the template of a class: its own, with request's in what it leaves out.
func (s *Settings) Of(class queue.Class) Request {
	r, own := s.Request, s.Class[class.String()]
	for _, v := range []struct {
		to *string
		by string
	}{{&r.Method, own.Method}, {&r.Path, own.Path}, {&r.Body, own.Body}} {
		if v.by != "" {
			*v.to = v.by
		}
	}
	if len(own.Headers) > 0 {
		r.Headers = maps.Clone(r.Headers)
		if r.Headers == nil {
			r.Headers = map[string]string{}
		}
		maps.Copy(r.Headers, own.Headers)
	}
	return r
}

// Validate returns an error, which wraps ErrSettings, for settings that cannot be used.
func (s *Settings) Validate() error {
	u, err := s.url()
	if err != nil {
		return err
	}
	if err := known(u.Scheme); err != nil {
		return err
	}
	if _, err := s.Rules(); err != nil {
		return err
	}
	for _, k := range keys { // of settings that no text was read for
		copied := *s
		text := k.value(s)
		if at, ok := k.at(s).(*string); ok {
			text = *at
		}
		if err := k.parse(&copied, strings.Trim(text, "'")); err != nil {
			return err
		}
	}
	for class := range queue.Classes {
		r := s.Of(class)
		if r.Path != "" && !strings.HasPrefix(r.Path, "/") && !strings.HasPrefix(r.Path, "?") {
			return bad("request.path", "%q: want it to begin with / or ?", r.Path)
		}
		if strings.ContainsFunc(r.Path, func(c rune) bool { return c <= ' ' || c == 0x7f }) {
			return bad("request.path", "%q: white space and control characters are written as %%20", r.Path)
		}
		for _, part := range []struct{ key, text string }{{"path", r.Path}, {"body", r.Body}} {
			if _, err := parseTemplate(part.text); err != nil {
				return bad("request."+part.key, "%v", err)
			}
		}
		for name, text := range r.Headers {
			if err := header(name, text); err != nil {
				return err
			}
		}
		if u.Scheme == "http" || u.Scheme == "https" {
			if err := method(r.Method); err != nil {
				return err
			}
		}
	}
	switch c := &s.Connections; {
	case (c.CA != "" || c.Insecure) && !strings.HasSuffix(u.Scheme, "s"):
		return bad("connections.ca", "it and connections.insecure are about TLS, and %s:// has none", u.Scheme)
	case c.Protocol == "h2" && u.Scheme == "http":
		return bad("connections.protocol", "h2 needs https; without TLS it is h2c")
	case c.Protocol == "h2c" && u.Scheme == "https":
		return bad("connections.protocol", "h2c is without TLS; with https it is h2")
	case c.Pool == "droplet" && c.Protocol != "http/1.1":
		return bad("connections.pool", "droplet goes with http/1.1: connections of HTTP/2 carry many calls")
	}
	return nil
}

// url is the parsed URL.
func (s *Settings) url() (*url.URL, error) {
	u, err := url.Parse(s.URL)
	switch {
	case err != nil:
		return nil, bad("url", "%v", err)
	case u.Scheme == "" || u.Host == "" || u.Hostname() == "":
		return nil, bad("url", "%q: want scheme, host and path, as in http://127.0.0.1:8080/lease", s.URL)
	case u.RawQuery != "" && (u.Scheme == "http" || u.Scheme == "https"):
		return nil, bad("url", "%q: a query belongs into request.path, as in /{droplet}?force=1", s.URL)
	case u.User != nil || u.Fragment != "":
		return nil, bad("url", "%q: leave out user, password and fragment: an Authorization header goes into request.headers.Authorization", s.URL)
	}
	return u, nil
}

// Row is the key's row in docs/client.md.
func (k *Key) Row(from *Settings) string {
	value := k.value(from)
	if value == "''" || value == `""` {
		value = "–"
	}
	bounds := "–"
	switch {
	case k.Options != nil:
		bounds = strings.Join(k.Options, ", ")
	case k.Unit != "":
		bounds = fmt.Sprintf("%.10g–%.10g %s", k.Low, k.High, k.Unit)
	}
	return fmt.Sprintf("| `%s` | %s | %s | %s |", k.Name, value, bounds, k.Doc)
}
