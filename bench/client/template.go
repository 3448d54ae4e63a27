package client

import (
	"fmt"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"time"
)

// placeholders are what a template can name, each with the unit of its value.
var placeholders = []string{"droplet", "class", "try", "zone", "lease", "left_ms", "deadline_ms"}

// template is a text with places for an attempt's values.
type template []piece

// piece is a text, and the placeholder behind it; -1: none.
type piece struct {
	text  string
	value int
}

// parseTemplate parses a text with {placeholders}. {{ and }} stand for braces.
func parseTemplate(text string) (template, error) {
	var t template
	var plain strings.Builder
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case (c == '{' || c == '}') && i+1 < len(text) && text[i+1] == c:
			plain.WriteByte(c)
			i++
		case c == '{':
			end := strings.IndexByte(text[i:], '}')
			if end < 0 {
				return nil, fmt.Errorf("%q: a { without a }; a brace of the text is written twice, as {{", text)
			}
			name := text[i+1 : i+end]
			value := slices.Index(placeholders, name)
			if value < 0 {
				return nil, fmt.Errorf("%q: no value {%s}: there are {%s}; a brace of the text is written twice, as {{", text, name, strings.Join(placeholders, "}, {"))
			}
			t = append(t, piece{plain.String(), value})
			plain.Reset()
			i += end
		case c == '}':
			return nil, fmt.Errorf("%q: a } without a {; a brace of the text is written twice, as }}", text)
		default:
			plain.WriteByte(c)
		}
	}
	return append(t, piece{plain.String(), -1}), nil
}

// Expand appends the text for an attempt of the given deadline, in wall time, to dst.
func (t template) append(dst []byte, a *Attempt, deadline time.Time) []byte {
	for _, p := range t {
		dst = append(dst, p.text...)
		switch p.value {
		case 0:
			dst = strconv.AppendUint(dst, uint64(a.Droplet), 10)
		case 1:
			dst = append(dst, a.Class.String()...)
		case 2:
			dst = strconv.AppendUint(dst, uint64(a.Try), 10)
		case 3:
			dst = strconv.AppendUint(dst, uint64(a.Zone), 10)
		case 4:
			dst = strconv.AppendUint(dst, a.Lease, 10)
		case 5:
			dst = strconv.AppendInt(dst, max(0, time.Until(deadline).Milliseconds()), 10)
		case 6:
			dst = strconv.AppendInt(dst, deadline.UnixMilli(), 10)
		}
	}
	return dst
}

// Template is a compiled text of the settings, for protocols of other modules.
type Template struct{ t template }

// ParseTemplate compiles a text with {placeholders}. The error wraps ErrSettings.
func ParseTemplate(key, text string) (Template, error) {
	t, err := parseTemplate(text)
	if err != nil {
		return Template{}, bad(key, "%v", err)
	}
	return Template{t}, nil
}

// Append appends the text for an attempt of the given deadline, in wall time, to dst.
func (t Template) Append(dst []byte, a *Attempt, deadline time.Time) []byte {
	return t.t.append(dst, a, deadline)
}

// Fixed reports whether the text is the same for all attempts.
func (t Template) Fixed() bool { return len(t.t) == 1 }

// header checks a header of the template.
func header(name, text string) error {
	key := "request.headers." + name
	if !token(name) {
		return bad(key, "not the name of a header")
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		return bad(key, "%q: a header has no control characters", text)
	}
	switch textproto.CanonicalMIMEHeaderKey(name) {
	case "Content-Length", "Transfer-Encoding", "Connection", "Host":
		return bad(key, "the client writes it itself")
	}
	_, err := parseTemplate(text)
	if err != nil {
		return bad(key, "%v", err)
	}
	return nil
}

// method checks a method of HTTP.
func method(name string) error {
	if !token(name) || name != strings.ToUpper(name) { // a token
		return bad("request.method", "%q: want a method of HTTP, as in POST", name)
	}
	return nil
}

// token reports whether a text is a token of HTTP (RFC 9110, section 5.6.2).
func token(text string) bool {
	return text != "" && strings.Trim(text, "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}
