package cluster

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// scheme begins each URL of a list.
var scheme = regexp.MustCompile(`[a-zA-Z][a-zA-Z0-9+.-]*://`)

// shown is a server's URL, or a list of them, as it may be printed. What stands before a host is a password, or
// a token without a name, and is left out.
func shown(urls string) string {
	var b strings.Builder
	one := func(head, rest string) {
		if at := strings.LastIndexByte(rest, '@'); at >= 0 { // a password may hold one
			rest = "xxxxx" + rest[at:]
		}
		b.WriteString(head + rest)
	}
	heads := scheme.FindAllStringIndex(urls, -1)
	if len(heads) == 0 {
		one("", urls)
		return b.String()
	}
	one("", urls[:heads[0][0]])
	for i, head := range heads {
		end := len(urls)
		if i+1 < len(heads) {
			end = heads[i+1][0]
		}
		one(urls[head[0]:head[1]], urls[head[1]:end])
	}
	return b.String()
}

// mend says what to do about a connection that fails by TLS; "": it fails by something else, or in a way that
// speaks for itself.
func (l *link) mend(err error) string {
	if unknown, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		if unknown.Cert != nil && l.CA != "" {
			return "--cluster-ca holds another certificate: want that of the signer, " + unknown.Cert.Issuer.String()
		}
		return "name the file with the signer's certificate by --cluster-ca"
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "reach the server by a name that its certificate has, or give it a certificate with this name"
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		if invalid.Reason == x509.Expired {
			return "give the server a new certificate, or set this host's clock"
		}
		return "give the server another certificate"
	}
	if errors.Is(err, nats.ErrSecureConnWanted) {
		return "the server speaks no TLS: give it a certificate"
	}
	return ""
}

// ofTLS reports whether an error is one of TLS, which trying again does not mend.
func ofTLS(err error) bool {
	return err != nil && (errors.Is(err, nats.ErrSecureConnWanted) || strings.Contains(err.Error(), "tls: ") || strings.Contains(err.Error(), "x509: "))
}

// complainEvery is how often a connection that cannot be made is said to fail.
const complainEvery = time.Minute

// follow tells of a connection until ctx is done: whether it is there, and if it fails by TLS, why, once and
// then every minute. The client tries again by itself and says nothing.
func (l *link) follow(ctx context.Context, nc *nats.Conn, tell func(news)) {
	there := false
	var said time.Time
	for {
		now := nc.IsConnected()
		switch {
		case now && !there:
			tell(news{Kind: newsThere})
			said = time.Time{}
		case there && !now:
			tell(news{Kind: newsAway})
		}
		if there = now; !there && (said.IsZero() || time.Since(said) >= complainEvery) {
			if err := nc.LastError(); ofTLS(err) {
				said = time.Now()
				tell(news{Kind: newsTrouble, Text: fmt.Sprintf("%v; trying again", l.failed(err))})
			}
		}
		if !pause(ctx, time.Second/2) {
			return
		}
	}
}

// sayTrouble makes a function that prints troubles, the same one once a minute, whichever process has it.
func sayTrouble(say func(format string, args ...any)) func(news) {
	said := map[string]time.Time{}
	var mu sync.Mutex
	return func(n news) {
		mu.Lock()
		defer mu.Unlock()
		if n.Kind == newsTrouble && time.Since(said[n.Text]) > complainEvery*9/10 {
			said[n.Text] = time.Now()
			say("%s", n.Text)
		}
	}
}
