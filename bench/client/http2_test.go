package client

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/leasestorm/leasestorm/queue"
)

// The types, flags and errors of HTTP/2 (RFC 9113, sections 6 and 7) that these tests send.
const (
	frameData, frameHeaders, frameReset, frameSettings, frameGoAway byte = 0, 1, 3, 4, 7
	endStream, endHeaders, ack                                      byte = 1, 4, 1
	noError, internalError, refusedStream, cancelled, calm               = 0, 2, 7, 8, 11
	status200                                                            = "\x88" // the static table's :status 200
)

// framer writes frames.
type framer struct{ c net.Conn }

func (f framer) frame(kind, flags byte, stream uint32, payload string) error {
	head := binary.BigEndian.AppendUint32(nil, uint32(len(payload))<<8|uint32(kind))
	head = binary.BigEndian.AppendUint32(append(head, flags), stream)
	_, err := f.c.Write(append(head, payload...))
	return err
}

func (f framer) reset(stream uint32, code uint32) {
	_ = f.frame(frameReset, 0, stream, string(binary.BigEndian.AppendUint32(nil, code)))
}

func (f framer) goAway(last, code uint32) {
	_ = f.frame(frameGoAway, 0, 0, string(binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, last), code)))
}

// frames serves h2c: it begins with the settings, and gives each call to answer.
func frames(t *testing.T, settings string, answer func(f framer, stream uint32)) string {
	return hostile(t, func(c net.Conn, in *bufio.Reader) {
		f := framer{c}
		if _, err := in.Discard(len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")); err != nil || f.frame(frameSettings, 0, 0, settings) != nil {
			return
		}
		for head := make([]byte, 9); ; {
			if _, err := io.ReadFull(in, head); err != nil {
				return
			}
			if _, err := in.Discard(int(binary.BigEndian.Uint32(head) >> 8)); err != nil {
				return
			}
			switch stream := binary.BigEndian.Uint32(head[5:]); {
			case head[3] == frameSettings && head[4]&ack == 0:
				_ = f.frame(frameSettings, ack, 0, "")
			case head[3] == frameHeaders:
				answer(f, stream)
			}
		}
	})
}

// literal is a header that is not in HPACK's table (RFC 7541, section 6.2.2).
func literal(name, value string) string {
	length := func(n int) string {
		if n < 127 {
			return string([]byte{byte(n)})
		}
		text := []byte{127}
		for n -= 127; n >= 128; n >>= 7 {
			text = append(text, byte(n)|128)
		}
		return string(append(text, byte(n)))
	}
	return "\x00" + length(len(name)) + name + length(len(value)) + value
}

// What a server of HTTP/2 may do. Nothing hangs, each end has its kind, and one that answers without end costs a call
// and no more.
func TestHostileHTTP2(t *testing.T) {
	begin := func(f framer, stream uint32) { _ = f.frame(frameHeaders, endHeaders, stream, status200) }
	for name, tt := range map[string]struct {
		url     string
		outcome queue.Outcome
		kind    Kind
		status  int
	}{
		"good":                {frames(t, "", func(f framer, id uint32) { _ = f.frame(frameHeaders, endHeaders|endStream, id, status200) }), queue.Good, Answered, 200},
		"goaway":              {frames(t, "", func(f framer, _ uint32) { f.goAway(0, noError) }), queue.Failed, GoAway, -1},
		"goaway, then closed": {frames(t, "", func(f framer, _ uint32) { f.goAway(0, noError); _ = f.c.Close() }), queue.Failed, GoAway, -1},
		"goaway, too many":    {frames(t, "", func(f framer, _ uint32) { f.goAway(0, calm); _ = f.c.Close() }), queue.Failed, TooManyResets, -1},
		"goaway of this stream": {frames(t, "", func(f framer, id uint32) {
			f.goAway(id, noError)
			_ = f.frame(frameHeaders, endHeaders|endStream, id, status200)
		}), queue.Good, Answered, 200},
		"refused stream":      {frames(t, "", func(f framer, id uint32) { f.reset(id, refusedStream) }), queue.Failed, GoAway, -1},
		"calm":                {frames(t, "", func(f framer, id uint32) { f.reset(id, calm) }), queue.Failed, TooManyResets, -1},
		"stream reset":        {frames(t, "", func(f framer, id uint32) { f.reset(id, internalError) }), queue.Failed, Reset, -1},
		"stream cancelled":    {frames(t, "", func(f framer, id uint32) { f.reset(id, cancelled) }), queue.Failed, Reset, -1},
		"reset in the answer": {frames(t, "", func(f framer, id uint32) { begin(f, id); f.reset(id, internalError) }), queue.Failed, Reset, -1},
		"half an answer":      {frames(t, "", func(f framer, id uint32) { begin(f, id); _ = f.c.Close() }), queue.Failed, Closed, -1},
		"no status":           {frames(t, "", func(f framer, id uint32) { _ = f.frame(frameHeaders, endHeaders|endStream, id, literal("x", "y")) }), queue.Failed, Nonsense, -1},
		"no HPACK":            {frames(t, "", func(f framer, id uint32) { _ = f.frame(frameHeaders, endHeaders|endStream, id, "\xff\xff\xff\xff\xff") }), queue.Failed, Nonsense, -1},
		"a large frame":       {frames(t, "", func(f framer, id uint32) { begin(f, id); _ = f.frame(frameData, 0, id, strings.Repeat("x", 1<<20)) }), queue.Failed, Nonsense, -1},
		"many headers": {frames(t, "", func(f framer, id uint32) {
			_ = f.frame(frameHeaders, endHeaders|endStream, id, status200+strings.Repeat(literal("x", ""), 2500))
		}), queue.Failed, TooBig, -1},
		"long headers": {frames(t, "", func(f framer, id uint32) { longHeaders(f, id, 9) }), queue.Failed, Nonsense, -1}, // the transport reads no further
		"a gigabyte": {frames(t, "", func(f framer, id uint32) {
			begin(f, id)
			for f.frame(frameData, 0, id, strings.Repeat("x", 16<<10)) == nil { // until the client closes the connection
			}
		}), queue.Failed, TooBig, -1},
		"slow for ever": {frames(t, "", func(f framer, id uint32) {
			begin(f, id)
			for f.frame(frameData, 0, id, "x") == nil {
				time.Sleep(10 * time.Millisecond)
			}
		}), queue.Late, TimedOut, -1},
		"no answer":   {frames(t, "", func(framer, uint32) {}), queue.Late, TimedOut, -1},
		"no streams":  {frames(t, "\x00\x03\x00\x00\x00\x00", func(framer, uint32) { t.Error("a stream of none") }), queue.Late, TimedOut, -1},
		"no settings": {hostile(t, func(_ net.Conn, in *bufio.Reader) { _, _ = io.Copy(io.Discard, in) }), queue.Late, DialTimeout, -1},
		"closes":      {hostile(t, func(c net.Conn, in *bufio.Reader) { _ = c.(*net.TCPConn).CloseWrite(); _, _ = io.Copy(io.Discard, in) }), queue.Failed, Closed, -1},
		"another protocol": {hostile(t, func(c net.Conn, in *bufio.Reader) {
			_, _ = io.WriteString(c, "220 mail.example.org ESMTP\r\n")
			_, _ = io.Copy(io.Discard, in)
		}), queue.Failed, Nonsense, -1},
		"HTTP/1.1": {hostile(t, says("HTTP/1.1 505 No\r\nContent-Length: 0\r\n\r\n")), queue.Failed, Nonsense, -1},
	} {
		t.Run(name, func(t *testing.T) {
			timeout := 20 * time.Second
			if tt.outcome == queue.Late {
				timeout = 100 * time.Millisecond
			}
			all, _ := ask(t, settingsOf(t, tt.url, "connections.protocol=h2c"), 1, timeout)
			if r := all[0]; r.Outcome != tt.outcome || r.Kind != tt.kind || r.Status != tt.status {
				t.Errorf("%v, %v, status %d; want %v, %v, %d", r.Outcome, r.Kind, r.Status, tt.outcome, tt.kind, tt.status)
			}
		})
	}
}

// longHeaders sends n times 16 KB of them.
func longHeaders(f framer, stream uint32, n int) {
	_ = f.frame(frameHeaders, 0, stream, status200)
	for range n - 1 {
		_ = f.frame(9, 0, stream, literal("x", strings.Repeat("y", 16_000)))
	}
	_ = f.frame(9, endHeaders, stream, literal("x", strings.Repeat("y", 16_000)))
}

// h2c starts a server of HTTP/2 with so many streams a connection at a time.
func h2c(t *testing.T, streams int, handler http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewUnstartedServer(handler)
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: streams}
	s.Start()
	t.Cleanup(s.Close)
	return s.URL
}

// A server that allows fewer streams than connections.streams gets no more at a time, and all calls are answered. A
// gigabyte is read up to answers.most, and costs the stream alone.
func TestStreamLimits(t *testing.T) {
	var mu sync.Mutex
	running, most := 0, 0
	url := h2c(t, 3, func(http.ResponseWriter, *http.Request) {
		mu.Lock()
		running++
		most = max(most, running)
		mu.Unlock()
		time.Sleep(time.Millisecond)
		mu.Lock()
		running--
		mu.Unlock()
	})
	all, stats := ask(t, settingsOf(t, url, "connections.protocol=h2c", "connections.most=1"), 60, 20*time.Second)
	for _, r := range all {
		if r.Outcome != queue.Good || r.Kind != Answered {
			t.Errorf("%v, %v", r.Outcome, r.Kind)
		}
	}
	if most > 3 || most == 0 || stats.Dials != 1 {
		t.Errorf("%d streams at a time on %d connections, want at most 3 on one", most, stats.Dials)
	}
	url = h2c(t, 100, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/0") {
			for text := make([]byte, 1<<16); ; {
				if _, err := w.Write(text); err != nil {
					return
				}
			}
		}
	})
	all, stats = ask(t, settingsOf(t, url, "connections.protocol=h2c", "connections.most=1", "answers.most=100000"), 5, 20*time.Second)
	kinds := map[Kind]int{}
	for _, r := range all {
		kinds[r.Kind]++
	}
	if kinds[TooBig] != 1 || kinds[Answered] != 4 || stats.Dials != 1 {
		t.Errorf("%v on %d connections: want one too big and four answered, on one", kinds, stats.Dials)
	}
}

// An attempt that nobody ever stops waiting for is a call like others.
func TestHugeTimeout(t *testing.T) {
	got := make(chan string, 3)
	answer := func(_ http.ResponseWriter, r *http.Request) { got <- r.URL.Path }
	plain := httptest.NewServer(http.HandlerFunc(answer))
	defer plain.Close()
	for protocol, url := range map[string]string{"http/1.1": plain.URL, "h2c": h2c(t, 10, answer)} {
		for _, cancel := range []string{"true", "false"} {
			s := settingsOf(t, url, "connections.protocol="+protocol, "connections.cancel="+cancel, "request.path=/{left_ms}")
			all, _ := ask(t, s, 1, math.MaxInt64)
			left := strings.TrimPrefix(<-got, "/")
			if all[0].Timeout != queue.Forever || all[0].Outcome != queue.Good || all[0].Kind != Answered || len(left) < 13 {
				t.Errorf("%s, cancel %s: %v, %v, %s ms left; want good, answered, some centuries", protocol, cancel, all[0].Outcome, all[0].Kind, left)
			}
		}
	}
}

// Each error of a connection has the kind that the user can act on.
func TestKinds(t *testing.T) {
	for _, tt := range []struct {
		err  error
		dial Kind
		io   Kind
	}{
		{syscall.ECONNREFUSED, Refused, OtherError},
		{syscall.ECONNRESET, Reset, Reset},
		{syscall.EADDRNOTAVAIL, NoPorts, OtherError},
		{syscall.EMFILE, NoFiles, OtherError},
		{syscall.ENFILE, NoFiles, OtherError},
		{syscall.ETIMEDOUT, DialTimeout, OtherError},
		{syscall.EHOSTUNREACH, OtherError, OtherError},
		{syscall.EPIPE, OtherError, Reset},
		{os.ErrDeadlineExceeded, DialTimeout, TimedOut},
		{context.DeadlineExceeded, DialTimeout, TimedOut},
		{io.ErrUnexpectedEOF, OtherError, Closed},
		{net.ErrClosed, OtherError, Closed},
		{errors.New("any other"), OtherError, OtherError},
	} {
		wrapped := &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", tt.err)}
		if dial, in := dialKind(wrapped), ioKind(wrapped); dial != tt.dial || in != tt.io {
			t.Errorf("%v: %v when it is opened and %v after; want %v and %v", tt.err, dial, in, tt.dial, tt.io)
		}
	}
	if !NoPorts.Ours() || !NoFiles.Ours() || Refused.Ours() || Reset.Ours() {
		t.Error("ports and files are this host's, refusals and resets the service's")
	}
}
