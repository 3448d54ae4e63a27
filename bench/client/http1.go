package client

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

func parseHTTPTime(text string) (time.Time, error) { return http.ParseTime(text) }

const (
	readBuffer  = 2 << 10  // of each connection: most answers are shorter
	mostHeaders = 64 << 10 // bytes of an answer's status line and headers
	mostInterim = 8        // 1xx answers before the answer
)

// errNonsense is returned for an answer that is not HTTP/1.1, errTooBig for one that is too large.
var (
	errNonsense = errors.New("not an answer of HTTP/1.1")
	errTooBig   = errors.New("the answer is too large")
)

// http1 is a connection of HTTP/1.1. It reads an answer's status and a few headers, and no more of the body
// than it must to find its end: a generator has other things to do.
type http1 struct {
	h    *HTTP
	conn net.Conn
	in   *bufio.Reader
	out  []byte
	body []byte
	ans  answer
}

func newHTTP1(h *HTTP, conn net.Conn) *http1 {
	return &http1{h: h, conn: conn, in: bufio.NewReaderSize(conn, readBuffer)}
}

// Close implements Conn.
func (c *http1) Close() { _ = c.conn.Close() }

// Call implements Conn.
func (c *http1) Call(deadline time.Time, now func() time.Duration, r *Reply) bool {
	if c.in.Buffered() > 0 { // what the server said when nobody had asked is nobody's answer
		r.failed(Nonsense)
		return false
	}
	c.request(&r.Attempt, wallDeadline(&r.Attempt, now))
	if err := c.conn.SetDeadline(deadline); err != nil {
		r.failed(ioKind(err))
		return false
	}
	r.Sent = now()
	if _, err := c.conn.Write(c.out); err != nil {
		r.failed(ioKind(err))
		return false
	}
	err := c.ans.read(c.in, c.h.requests[r.Class].method == "HEAD", c.h.s.Answers.Most, c.h.rules.name)
	switch {
	case errors.Is(err, errNonsense):
		r.failed(Nonsense)
	case errors.Is(err, errTooBig):
		r.failed(TooBig)
	case err != nil:
		r.failed(ioKind(err))
	default:
		c.h.answered(r, c.ans.status, c.ans.header)
		return c.ans.keep && c.in.Buffered() == 0
	}
	return false
}

// wallDeadline is an attempt's own deadline, in wall time: what its request says, however long the call may
// take.
func wallDeadline(a *Attempt, now func() time.Duration) time.Time {
	return time.Now().Add(a.Deadline() - now())
}

// request writes the request to c.out.
func (c *http1) request(a *Attempt, deadline time.Time) {
	t := &c.h.requests[a.Class]
	b := append(append(c.out[:0], t.method...), ' ')
	b = append(b, c.h.base...)
	before := len(b)
	b = t.path.append(b, a, deadline)
	if len(b) == before && len(c.h.base) == 0 {
		b = append(b, '/')
	}
	b = append(append(append(b, " HTTP/1.1\r\nHost: "...), c.h.url.Host...), "\r\n"...)
	for i, name := range t.names {
		b = append(append(b, name...), ": "...)
		b = append(t.headers[i].append(b, a, deadline), "\r\n"...)
	}
	c.body = c.body[:0]
	if t.hasBody {
		c.body = t.body.append(c.body, a, deadline)
	}
	if t.hasBody || t.method != "GET" && t.method != "HEAD" {
		b = append(strconv.AppendInt(append(b, "Content-Length: "...), int64(len(c.body)), 10), "\r\n"...)
	}
	c.out = append(append(b, "\r\n"...), c.body...)
}

// answer is what is read of an answer.
type answer struct {
	status  int
	keep    bool // the connection can be used again
	after   []byte
	date    []byte
	own     []byte // the header of refusals
	ownName string
}

// header looks up one of the headers that were kept.
func (a *answer) header(name string) string {
	switch {
	case a.ownName != "" && strings.EqualFold(name, a.ownName):
		return string(a.own)
	case name == "Retry-After":
		return string(a.after)
	case name == "Date":
		return string(a.date)
	}
	return ""
}

// read reads one answer to its end.
func (a *answer) read(in *bufio.Reader, head bool, most int64, own string) error {
	left := mostHeaders
	for range mostInterim {
		length, chunked, err := a.heading(in, &left, own)
		if err != nil {
			return err
		}
		if a.status >= 100 && a.status < 200 {
			if a.status == 101 {
				return errNonsense
			}
			continue
		}
		switch {
		case head || a.status == 204 || a.status == 304:
			return nil
		case chunked:
			return a.chunks(in, most)
		case length >= 0:
			return discard(in, length, most)
		}
		a.keep = false // the body ends with the connection
		n, err := io.Copy(io.Discard, io.LimitReader(in, most+1))
		if err == nil && n > most {
			err = errTooBig
		}
		return err
	}
	return errNonsense
}

// heading reads a status line and headers. length is -1 if none is named.
func (a *answer) heading(in *bufio.Reader, left *int, own string) (length int64, chunked bool, err error) {
	line, err := textLine(in, left)
	if err != nil {
		return 0, false, err
	}
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.")) || line[8] != ' ' || len(line) > 12 && line[12] != ' ' {
		return 0, false, errNonsense
	}
	if a.status, err = strconv.Atoi(string(line[9:12])); err != nil || a.status < 100 {
		return 0, false, errNonsense
	}
	a.keep, length, a.ownName = line[7] >= '1', -1, own
	a.after, a.date, a.own = a.after[:0], a.date[:0], a.own[:0]
	for {
		if line, err = textLine(in, left); err != nil || len(line) == 0 {
			return length, chunked, err
		}
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok {
			return 0, false, errNonsense
		}
		value = bytes.TrimSpace(value)
		if own != "" && is(name, own) {
			a.own = append(a.own[:0], value...)
		}
		switch {
		case is(name, "Content-Length"):
			n, err := strconv.ParseUint(string(value), 10, 62)
			if err != nil || length >= 0 && int64(n) != length {
				return 0, false, errNonsense
			}
			length = int64(n)
		case is(name, "Transfer-Encoding"):
			if !is(value, "chunked") {
				return 0, false, errNonsense
			}
			chunked = true
		case is(name, "Connection"):
			if bytes.Contains(bytes.ToLower(value), []byte("close")) {
				a.keep = false
			}
		case is(name, "Retry-After") && len(a.after) == 0: // the first one counts
			a.after = append(a.after, value...)
		case is(name, "Date"):
			a.date = append(a.date[:0], value...)
		}
	}
}

func is(name []byte, want string) bool {
	return len(name) == len(want) && bytes.EqualFold(name, []byte(want))
}

// textLine reads a line without its end. Of a line that is longer than the reader's buffer only the
// beginning is kept: no header that is looked at is so long.
func textLine(in *bufio.Reader, left *int) ([]byte, error) {
	line, err := in.ReadSlice('\n')
	for long := errors.Is(err, bufio.ErrBufferFull); long; long = errors.Is(err, bufio.ErrBufferFull) {
		if *left -= readBuffer; *left < 0 {
			return nil, errTooBig
		}
		_, err = in.ReadSlice('\n')
		line = []byte("x-too-long:")
	}
	if err != nil {
		if len(line) > 0 && errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	if *left -= len(line); *left < 0 {
		return nil, errTooBig
	}
	return bytes.TrimRight(line, "\r\n"), nil
}

// discard skips a body.
func discard(in *bufio.Reader, n, most int64) error {
	if n > most {
		return errTooBig
	}
	_, err := in.Discard(int(n))
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// chunks skips a body in chunks, and its trailers.
func (a *answer) chunks(in *bufio.Reader, most int64) error {
	left := mostHeaders
	for sum := int64(0); ; {
		line, err := textLine(in, &left)
		if err != nil {
			return err
		}
		digits, _, _ := bytes.Cut(line, []byte(";"))
		n, err := strconv.ParseUint(string(bytes.TrimSpace(digits)), 16, 62)
		if err != nil {
			return errNonsense
		}
		if n == 0 {
			break
		}
		if sum += int64(n); sum > most {
			return errTooBig
		}
		if err := discard(in, int64(n)+2, most+2); err != nil {
			return err
		}
		left = mostHeaders
	}
	for {
		if line, err := textLine(in, &left); err != nil || len(line) == 0 {
			return err
		}
	}
}
