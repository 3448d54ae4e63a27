package client

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/leasestorm/leasestorm/bench/internal/hostiletest"
	"github.com/leasestorm/leasestorm/queue"
)

// settingsOf are the defaults for a server.
func settingsOf(t *testing.T, url string, set ...string) Settings {
	t.Helper()
	s := Default()
	s.URL = url
	if err := s.Set(set...); err != nil {
		t.Fatal(err)
	}
	return s
}

// ask sends n attempts of the given timeout and returns their replies.
func ask(t *testing.T, s Settings, n int, timeout time.Duration) ([]Reply, Stats) {
	t.Helper()
	p, err := Open(s)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	now := func() time.Duration { return time.Since(began) }
	c := NewPool(s, p, now)
	defer c.Close()
	for i := range n {
		c.Send(&Attempt{Born: now(), Timeout: queue.ToMicros(timeout), Droplet: uint32(i), Class: queue.Establish})
	}
	return collect(t, c), c.Stats()
}

// collect waits for the replies to all that was sent.
func collect(t *testing.T, c Client) (all []Reply) {
	t.Helper()
	var buf [16]Reply
	for late := time.Now().Add(30 * time.Second); c.Out() > 0; time.Sleep(time.Millisecond) {
		n := c.Replies(buf[:])
		all = append(all, buf[:n]...)
		if time.Now().After(late) {
			t.Fatalf("%d replies, and %d attempts are out", len(all), c.Out())
		}
	}
	return all
}

// hostile serves each connection by a function that gets the request's first line.
func hostile(t *testing.T, serve func(c net.Conn, in *bufio.Reader)) string {
	t.Helper()
	return "http://" + hostiletest.Serve(t, func(c net.Conn) { serve(c, bufio.NewReader(c)) })
}

// says reads a request's head and answers with a text.
func says(text string) func(c net.Conn, in *bufio.Reader) {
	return func(c net.Conn, in *bufio.Reader) {
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			if line == "\r\n" {
				_, _ = io.WriteString(c, text)
				return
			}
		}
	}
}

// What a service may say, and what becomes of it. A server that answers slowly for ever, or with a
// gigabyte, costs a call and no more.
func TestAnswers(t *testing.T) {
	endless := func(c net.Conn, in *bufio.Reader) {
		says("HTTP/1.1 200 OK\r\n")(c, in)
		for {
			if _, err := io.WriteString(c, "x"); err != nil {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	gigabyte := func(c net.Conn, in *bufio.Reader) {
		says("HTTP/1.1 200 OK\r\n\r\n")(c, in)
		for text := make([]byte, 1<<16); ; {
			if _, err := c.Write(text); err != nil {
				return
			}
		}
	}
	reset := func(c net.Conn, in *bufio.Reader) {
		_, _ = in.Peek(1)
		_ = c.(*net.TCPConn).SetLinger(0)
	}
	for name, tt := range map[string]struct {
		serve   func(c net.Conn, in *bufio.Reader)
		outcome queue.Outcome
		kind    Kind
		status  int
		after   time.Duration
		wrong   bool
	}{
		"good":           {says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), queue.Good, Answered, 200, 0, false},
		"no length":      {says("HTTP/1.1 200 OK\r\n\r\nuntil the end"), queue.Good, Answered, 200, 0, false},
		"chunked":        {says("HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n4;x=y\r\nabcd\r\n0\r\nT: r\r\n\r\n"), queue.Good, Answered, 201, 0, false},
		"interim":        {says("HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 204 No\r\n\r\n"), queue.Good, Answered, 204, 0, false},
		"long header":    {says("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("y", 9000) + "\r\nContent-Length: 0\r\n\r\n"), queue.Good, Answered, 200, 0, false},
		"retry-after":    {says("HTTP/1.1 503 No\r\nRetry-After: 7\r\nRetry-After: 9\r\nContent-Length: 0\r\n\r\n"), queue.Shed, Answered, 503, 7 * time.Second, false},
		"date":           {says("HTTP/1.1 429 No\r\nDate: Mon, 20 Oct 2025 09:25:00 GMT\r\nRetry-After: Mon, 20 Oct 2025 09:25:30 GMT\r\nContent-Length: 0\r\n\r\n"), queue.Shed, Answered, 429, 30 * time.Second, false},
		"past date":      {says("HTTP/1.1 429 No\r\nDate: Mon, 20 Oct 2025 09:25:00 GMT\r\nRetry-After: Mon, 20 Oct 2025 09:24:30 GMT\r\nContent-Length: 0\r\n\r\n"), queue.Shed, Answered, 429, 0, false},
		"negative wait":  {says("HTTP/1.1 503 No\r\nRetry-After: -1\r\nContent-Length: 0\r\n\r\n"), queue.Shed, Answered, 503, 0, true},
		"fraction":       {says("HTTP/1.1 503 No\r\nRetry-After: 1.5\r\nContent-Length: 0\r\n\r\n"), queue.Shed, Answered, 503, 0, true},
		"too long":       {says("HTTP/1.1 503 No\r\nRetry-After: 12345678901\r\nContent-Length: 0\r\n\r\n"), queue.Shed, Answered, 503, 0, true},
		"failure":        {says("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"), queue.Failed, Answered, 500, 0, false},
		"late":           {says("HTTP/1.1 504 No\r\nContent-Length: 0\r\n\r\n"), queue.Late, Answered, 504, 0, false},
		"late, and when": {says("HTTP/1.1 504 No\r\nRetry-After: 2\r\nContent-Length: 0\r\n\r\n"), queue.Late, Answered, 504, 2 * time.Second, false},
		"redirect":       {says("HTTP/1.1 302 No\r\nLocation: /\r\nContent-Length: 0\r\n\r\n"), queue.Failed, Redirect, 302, 0, false},
		"nonsense":       {says("220 mail.example.org ESMTP\r\n"), queue.Failed, Nonsense, -1, 0, false},
		"two lengths":    {says("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"), queue.Failed, Nonsense, -1, 0, false},
		"bad chunk":      {says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), queue.Failed, Nonsense, -1, 0, false},
		"half an answer": {says("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"), queue.Failed, Closed, -1, 0, false},
		"half a header":  {says("HTTP/1.1 200 OK\r\nContent-Le"), queue.Failed, Closed, -1, 0, false},
		"closes":         {func(net.Conn, *bufio.Reader) {}, queue.Failed, Closed, -1, 0, false},
		"resets":         {reset, queue.Failed, Reset, -1, 0, false},
		"two answers":    {says("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), queue.Good, Answered, 200, 0, false},
		"silent":         {func(_ net.Conn, in *bufio.Reader) { _, _ = io.Copy(io.Discard, in) }, queue.Late, TimedOut, -1, 0, false},
		"slow for ever":  {endless, queue.Late, TimedOut, -1, 0, false},
		"a gigabyte":     {gigabyte, queue.Failed, TooBig, -1, 0, false},
		"too big":        {says("HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n"), queue.Failed, TooBig, -1, 0, false},
		"many headers":   {says("HTTP/1.1 200 OK\r\n" + strings.Repeat("A: "+strings.Repeat("b", 500)+"\r\n", 200)), queue.Failed, TooBig, -1, 0, false},
		"a long line":    {says("HTTP/1.1 200 OK\r\nA: " + strings.Repeat("b", 1<<18)), queue.Failed, TooBig, -1, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			timeout := 20 * time.Second
			if tt.kind == TimedOut {
				timeout = 50 * time.Millisecond
			}
			all, _ := ask(t, settingsOf(t, hostile(t, tt.serve)), 1, timeout)
			r := all[0]
			closed := tt.kind == Closed && r.Kind == Reset // the request was still on its way
			if r.Outcome != tt.outcome || r.Kind != tt.kind && !closed || r.Status != tt.status || r.After != tt.after || r.BadAfter != tt.wrong {
				t.Errorf("%v, %v, status %d, after %v, bad %v; want %v, %v, %d, %v, %v", r.Outcome, r.Kind, r.Status, r.After, r.BadAfter, tt.outcome, tt.kind, tt.status, tt.after, tt.wrong)
			}
		})
	}
}

// A request is what the template says, for HTTP/1.1, h2 and h2c, and connections are kept.
func TestRequests(t *testing.T) {
	seen := make(chan string, 100)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		seen <- fmt.Sprintf("%s %s %s %s", r.Method, r.URL.RequestURI(), r.Header.Get("X-Try"), body)
		w.Header().Set("Retry-After", "3")
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	plain := httptest.NewUnstartedServer(handler)
	plain.Config.Protocols = new(http.Protocols)
	plain.Config.Protocols.SetHTTP1(true)
	plain.Config.Protocols.SetUnencryptedHTTP2(true)
	plain.Start()
	defer plain.Close()
	secure := httptest.NewUnstartedServer(handler)
	secure.EnableHTTP2 = true
	secure.StartTLS()
	defer secure.Close()
	for protocol, url := range map[string]string{"http/1.1": plain.URL, "h2c": plain.URL, "h2": secure.URL} {
		s := settingsOf(t, url+"/v1%20x", "connections.protocol="+protocol, fmt.Sprint("connections.insecure=", protocol == "h2"), "connections.most=1", "request.method=PUT",
			"request.path=/{droplet}?c={class}", "request.body={{\"z\":{zone}}}", "request.headers.X-Try={try}", "class.check.method=GET")
		all, stats := ask(t, s, 20, 20*time.Second)
		for _, r := range all {
			if r.Outcome != queue.Shed || r.Status != 503 || r.After != 3*time.Second || r.Sent <= 0 || r.Done < r.Sent {
				t.Errorf("%s: %+v", protocol, r)
			}
		}
		got := map[string]bool{}
		for range 20 {
			got[<-seen] = true
		}
		for i := range 20 {
			if want := fmt.Sprintf(`PUT /v1%%20x/%d?c=establish 0 {"z":0}`, i); !got[want] {
				t.Errorf("%s: no request %q in %v", protocol, want, got)
			}
		}
		if stats.Dials != 1 || stats.Most != 1 || stats.Requests != 20 {
			t.Errorf("%s: %+v, want one connection and 20 requests", protocol, stats)
		}
	}
	all, _ := ask(t, settingsOf(t, secure.URL), 1, 20*time.Second)
	if all[0].Kind != TLS || all[0].Outcome != queue.Failed {
		t.Errorf("an unknown certificate: %v, %v; want tls, failed", all[0].Kind, all[0].Outcome)
	}
}

// Attempts that wait for a connection while all of them hang get their reply at the deadline; one that is
// not cancelled gets it with the answer.
func TestPoolHangs(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	defer server.Close()
	all, stats := ask(t, settingsOf(t, server.URL, "connections.most=2"), 6, 50*time.Millisecond)
	kinds := map[Kind]int{}
	for _, r := range all {
		kinds[r.Kind]++
		if r.Outcome != queue.Late {
			t.Errorf("%v: %v", r.Kind, r.Outcome)
		}
	}
	if kinds[TimedOut] < 2 || kinds[TimedOut]+kinds[NotSent] != 6 || stats.Waits != 4 {
		t.Errorf("%v, %d waits: want 2 or more timed out, the others not sent", kinds, stats.Waits)
	}
	time.AfterFunc(100*time.Millisecond, func() { close(release) })
	all, _ = ask(t, settingsOf(t, server.URL, "connections.cancel=false"), 1, 20*time.Millisecond)
	if all[0].Kind != LateAnswer || all[0].Outcome != queue.Late || all[0].Status != 200 {
		t.Errorf("a late answer: %+v", all[0])
	}
}

// A pool of one connection per droplet keeps each droplet on its own, and takes one over only where it
// may open no more. A refused connection is the attempt's end.
func TestPoolByDroplet(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.RemoteAddr) }))
	for most, want := range map[string]uint64{"10": 5, "2": 6} {
		s := settingsOf(t, server.URL, "connections.pool=droplet", "connections.most="+most)
		p, err := Open(s)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		now := func() time.Duration { return time.Since(began) }
		c := NewPool(s, p, now)
		for range 2 {
			for d := range uint32(5) {
				if want == 6 && d > 2 {
					continue
				}
				c.Send(&Attempt{Born: now(), Timeout: queue.ToMicros(time.Minute), Droplet: d})
				collect(t, c)
			}
		}
		if got := c.Stats(); got.Dials != want {
			t.Errorf("at most %s: %d connections opened, want %d", most, got.Dials, want)
		}
		c.Close()
	}
	server.Close()
	all, _ := ask(t, settingsOf(t, server.URL), 1, 20*time.Second)
	if all[0].Kind != Refused || all[0].Outcome != queue.Failed || all[0].Sent != 0 {
		t.Errorf("a refused connection: %+v", all[0])
	}
}

// Settings that cannot be used are refused, with the key.
func TestSettingsRefused(t *testing.T) {
	for set, key := range map[string]string{
		"answers.good=2xx,700": "answers.good", "answers.shed=204": "answers.", "answers.good=": "answers.good", "answers.good=1xx": "answers.good",
		"request.path=/{drop}": "request.path", "request.body={": "request.body", "request.headers.A B=x": "request.headers.A B", "request.headers.X=a\nb": "request.headers.X",
		"request.headers.Host=x": "request.headers.Host", "request.method=post": "request.method", "connections.protocol=h3": "connections.protocol",
		"connections.protocol=h2": "connections.protocol", "connections.most=0": "connections.most", "connections.most=1.5": "connections.most",
		"connections.lifetime=-1s": "connections.lifetime", "connections.patience=5": "connections.patience", "prime=maybe": "prime", "limits.rate=NaN": "limits.rate",
		"class.boot.path=/x": "class.boot", "class.check.path=/{x}": "request.path", "answers.most=2147483648": "answers.most", "nothing=1": "nothing", "x": "x",
		"answers.shed_header=a b": "answers.shed_header", "request.path=x": "request.path", "request.path=/a b": "request.path", "request.path=/a\r\nX: b": "request.path",
		"class.check.foo=1": "class.check.foo", "class.check.prime=1": "class.check.prime",
	} {
		s := Default()
		s.URL = "http://127.0.0.1:1"
		err := s.Set(set)
		if err == nil {
			err = s.Validate()
		}
		if !errors.Is(err, ErrSettings) || !strings.Contains(err.Error(), key) {
			t.Errorf("%s: %v, want an error about %s", set, err, key)
		}
	}
	for url, want := range map[string]string{
		"127.0.0.1:80": "url", "http://": "url", "ftp://127.0.0.1": "ftp", "grpc://127.0.0.1:1": "make storm",
		"http://u:p@127.0.0.1": "Authorization", "http://127.0.0.1/?a=b": "request.path", "http://127.0.0.1/%zz": "url",
	} {
		s := Default()
		if s.URL = url; !errors.Is(s.Validate(), ErrSettings) || !strings.Contains(s.Validate().Error(), want) {
			t.Errorf("%s: %v, want %s", url, s.Validate(), want)
		}
	}
}

// Settings survive their file.
func TestSettingsTOML(t *testing.T) {
	s := Default()
	if err := s.Set("request.headers.X-A=é\"{class}", "class.launch.path=/l/{droplet}", "class.launch.headers.B.C=1", "connections.lifetime=1m30s",
		"limits.requests=123456789", "connections.cancel=false", "answers.shed_header=X-Shed", "request.body={{}}"); err != nil {
		t.Fatal(err)
	}
	again, err := Parse("x.toml", []byte(s.TOML()))
	if err != nil || fmt.Sprintf("%+v", again) != fmt.Sprintf("%+v", s) {
		t.Errorf("%v\n%s\n%+v\n%+v", err, s.TOML(), again, s)
	}
	for text, want := range map[string]string{"a = [": "x.toml:1", "connections.most = [1]": "connections.most", "zzz = 1": "zzz"} {
		if _, err := Parse("x.toml", []byte(text)); !errors.Is(err, ErrSettings) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// Only loopback may be loaded, unless the user says which host.
func TestAllowed(t *testing.T) {
	for url, mayLoad := range map[string][]string{
		"http://127.0.0.1:1": nil, "http://[::1]:1": nil, "http://localhost": nil, "http://192.0.2.1": {"192.0.2.1"}, "http://Example.invalid": {"example.INVALID"},
	} {
		if err := Allowed(url, mayLoad); err != nil {
			t.Errorf("%s with %v: %v", url, mayLoad, err)
		}
	}
	for _, url := range []string{"http://192.0.2.1", "http://0.0.0.0:80", "http://[2001:db8::1]", "http://does-not-exist.invalid"} {
		if err := Allowed(url, []string{"192.0.2.2"}); !errors.Is(err, ErrSettings) {
			t.Errorf("%s: %v", url, err)
		}
	}
}

// Whatever a service sends, the reader ends, without more memory than it may take.
func FuzzAnswer(f *testing.F) {
	for _, text := range []string{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "HTTP/1.0 503 x\nRetry-After: 1\n\n"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var a answer
		if err := a.read(bufio.NewReaderSize(strings.NewReader(text), readBuffer), false, 100, "X"); err == nil && (a.status < 200 || a.status > 999) {
			t.Errorf("status %d of %q", a.status, text)
		}
	})
}

// What a server says twice is nobody's answer: the connection is not used again. The deadline that a
// request carries is the attempt's, however long its answer is waited for, and patience never cuts a call
// short of it.
func TestCalls(t *testing.T) {
	seen := make(chan string, 10)
	twice := hostile(t, func(c net.Conn, in *bufio.Reader) {
		line, _ := in.ReadString('\n')
		seen <- line
		says("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 204 OK\r\n\r\n")(c, in)
		_, _ = io.Copy(io.Discard, in)
	})
	all, stats := ask(t, settingsOf(t, twice, "connections.most=1", "connections.cancel=false", "connections.patience=1h", "request.path=/{left_ms}"), 3, 20*time.Second)
	for _, r := range all {
		var left int
		if _, err := fmt.Sscanf(<-seen, "POST /%d ", &left); err != nil || left > 20_000 || left <= 0 || r.Status != 200 {
			t.Errorf("%d ms are left, status %d, %v", left, r.Status, err)
		}
	}
	if stats.Dials != 3 {
		t.Errorf("%d connections for 3 calls: want one each", stats.Dials)
	}
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-seen
	}))
	defer slow.Close()
	time.AfterFunc(50*time.Millisecond, func() { seen <- "" })
	if all, _ = ask(t, settingsOf(t, slow.URL, "connections.cancel=false", "connections.patience=1ms"), 1, 20*time.Second); all[0].Outcome != queue.Good {
		t.Errorf("patience shorter than the timeout: %v, %v", all[0].Outcome, all[0].Kind)
	}
	if _, err := OpenHTTP(Settings{URL: "http://127.0.0.1:1", Request: Request{Method: "GET"}, Answers: Answers{Good: "2xx"}}); !errors.Is(err, ErrSettings) {
		t.Errorf("settings without connections: %v", err)
	}
}

// One stream that the server aborts does not cost the connection; a server without HTTP/2 is named.
func TestStreams(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "1") {
			panic(http.ErrAbortHandler)
		}
	}))
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	_, stats := ask(t, settingsOf(t, s.URL, "connections.protocol=h2", "connections.insecure=true", "connections.most=1"), 10, 20*time.Second)
	if stats.Dials != 1 {
		t.Errorf("%d connections, want 1", stats.Dials)
	}
	old := httptest.NewTLSServer(http.NotFoundHandler())
	defer old.Close()
	if all, _ := ask(t, settingsOf(t, old.URL, "connections.protocol=h2", "connections.insecure=true"), 1, 20*time.Second); all[0].Kind != Nonsense && all[0].Kind != TLS {
		t.Errorf("a server without HTTP/2: %v", all[0].Kind)
	}
}
