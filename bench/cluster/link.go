package cluster

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"github.com/leasestorm/leasestorm/bench/internal/files"
)

// link says how a NATS server is reached, and proves who asks.
type link struct {
	URL   string `json:"url"`
	Token string `json:"token,omitempty"`
	Seed  string `json:"nkey_seed,omitempty"` // of an NKey
	CA    string `json:"ca_pem,omitempty"`    // certificates that vouch for the server's; "": the system's
	// Host is the name that the server's certificate must have; "": the URL's.
	Host   string                     `json:"tls_host,omitempty"`
	server nats.InProcessConnProvider // in this process; nil: by the URL
}

// connect connects. With wait it tries until the server is there.
func (l *link) connect(name string, wait bool) (*nats.Conn, jetstream.JetStream, error) {
	if _, err := readBuildID(); err != nil {
		return nil, nil, err
	}
	opts := []nats.Option{nats.Name(name), nats.MaxReconnects(-1), nats.ReconnectWait(250 * time.Millisecond), nats.RetryOnFailedConnect(wait)}
	if l.Token != "" {
		opts = append(opts, nats.Token(l.Token))
	}
	if l.Seed != "" {
		pair, public, err := keyPair(l.Seed)
		if err != nil {
			return nil, nil, err
		}
		opts = append(opts, nats.Nkey(public, pair.Sign))
	}
	url := l.URL
	if l.server != nil {
		opts = append(opts, nats.InProcessServer(l.server))
		url = nats.DefaultURL // of no account, but that it asks for no TLS
	} else if l.CA != "" {
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM([]byte(l.CA)) {
			return nil, nil, errors.New("--cluster-ca holds no certificate in PEM")
		}
		opts = append(opts, nats.Secure(&tls.Config{RootCAs: pool, ServerName: l.Host, MinVersion: tls.VersionTLS12}))
	}
	nc, err := nats.Connect(url, opts...)
	if err != nil {
		return nil, nil, l.failed(err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		nc.Close()
		return nil, nil, err
	}
	return nc, js, nil
}

// failed is the error of a connection that was not made.
func (l *link) failed(err error) error {
	mend := l.mend(err)
	if mend != "" {
		mend = "; " + mend
	}
	return fmt.Errorf("the NATS server at %s: %w%s", shown(l.URL), err, mend)
}

// keyPair reads the seed of an NKey, as `nk -gen user` writes it.
func keyPair(seed string) (pair nkeys.KeyPair, public string, err error) {
	if pair, err = nkeys.FromSeed([]byte(seed)); err == nil {
		public, err = pair.PublicKey()
	}
	if err != nil {
		return nil, "", fmt.Errorf("--cluster-nkey: %w: want a file with a user's seed, as 'nk -gen user' writes it", err)
	}
	return pair, public, nil
}

// embedding says how the server inside the coordinator is made.
type embedding struct {
	listen    string // HOST:PORT
	cert, key string // files of the server's certificate; "": no TLS
	token     string // "": one is drawn, which this host's processes learn
	seed      string // of an NKey, instead of a token
}

// embedded is a server inside the coordinator. Its link is for other processes of this host.
type embedded struct {
	link
	server *server.Server
}

// inside is the link for this process.
func (e *embedded) inside() link {
	l := e.link
	l.server = e.server
	return l
}

// start starts the server, with its state in the folder dir, which is locked.
func (e embedding) start(dir string) (*embedded, error) {
	host, port, err := e.address()
	if err != nil {
		return nil, err
	}
	o := &server.Options{
		ServerName: "leasestorm", Host: host, Port: port, NoSigs: true, NoLog: true,
		JetStream: true, StoreDir: filepath.Join(dir, "nats"), DisableJetStreamBanner: true,
	}
	l := link{Token: e.token, Seed: e.seed}
	if l.Token == "" && l.Seed == "" {
		l.Token = random()
	}
	if l.Seed != "" {
		_, public, err := keyPair(l.Seed)
		if err != nil {
			return nil, err
		}
		o.Nkeys = []*server.NkeyUser{{Nkey: public}}
	} else {
		o.Authorization = l.Token
	}
	scheme := "nats"
	if e.cert != "" {
		pair, err := tls.LoadX509KeyPair(e.cert, e.key)
		if err != nil {
			return nil, fmt.Errorf("--cluster-cert and --cluster-key: %w", err)
		}
		if l.CA, l.Host, err = vouch(pair.Leaf); err != nil {
			return nil, fmt.Errorf("--cluster-cert %s: %w", e.cert, err)
		}
		o.TLSConfig = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
		o.TLSTimeout = 5
		scheme = "tls"
	}
	if err := files.MkdirAll(o.StoreDir); err != nil {
		return nil, err
	}
	s, err := server.NewServer(o)
	if err != nil {
		return nil, fmt.Errorf("the embedded NATS server: %w", err)
	}
	s.Start()
	if !s.ReadyForConnections(20 * time.Second) {
		s.Shutdown()
		return nil, fmt.Errorf("the embedded NATS server is not ready on %s after 20 s: is the port taken? --cluster-listen HOST:PORT names another", e.listen)
	}
	addr, ok := s.Addr().(*net.TCPAddr)
	if !ok {
		s.Shutdown()
		return nil, fmt.Errorf("the embedded NATS server does not listen on TCP: %v", s.Addr())
	}
	if addr.IP.IsUnspecified() {
		host = "localhost"
	}
	l.URL = fmt.Sprintf("%s://%s", scheme, net.JoinHostPort(host, fmt.Sprint(addr.Port)))
	return &embedded{l, s}, nil
}

// vouch returns how a process of this host knows the server: by the certificate itself, whoever has signed
// it, and by a name that it has, which need not be one of loopback.
func vouch(leaf *x509.Certificate) (ca, host string, err error) {
	switch {
	case len(leaf.DNSNames) > 0:
		host = strings.Replace(leaf.DNSNames[0], "*", "any", 1)
	case len(leaf.IPAddresses) > 0:
		host = leaf.IPAddresses[0].String()
	default:
		return "", "", errors.New("the certificate names no host: want a subjectAltName with the name or the address by which workers reach this host")
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw})), host, nil
}

// address is where the server listens. Beyond loopback it needs credentials and TLS.
func (e embedding) address() (host string, port int, err error) {
	host, text, err := net.SplitHostPort(e.listen)
	if err == nil {
		port, err = net.LookupPort("tcp", text)
	}
	if err != nil {
		return "", 0, fmt.Errorf("--cluster-listen %s: %w: want HOST:PORT, as in 127.0.0.1:4222", e.listen, err)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	if port == 0 {
		port = server.RANDOM_PORT
	}
	if (e.cert == "") != (e.key == "") {
		return "", 0, errors.New("--cluster-cert and --cluster-key go together")
	}
	if !loopback(host) && (e.cert == "" || e.token == "" && e.seed == "") {
		return "", 0, fmt.Errorf("--cluster-listen %s can be reached from other hosts: it needs TLS (--cluster-cert, --cluster-key) and credentials (--cluster-token or --cluster-nkey)", e.listen)
	}
	return host, port, nil
}

// loopback reports whether a host's name stands for this host alone.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// stop stops the server. What it keeps stays in its folder.
func (e *embedded) stop() {
	e.server.Shutdown()
	e.server.WaitForShutdown()
}

// random is a name, or a token, that nobody else draws.
func random() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// secret reads a file with one line that only its owner should know.
func secret(flag, path string) (string, error) {
	if path == "" {
		return "", nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("--%s: %w", flag, err)
	}
	line := strings.TrimSpace(string(text))
	if line == "" {
		return "", fmt.Errorf("--%s: %s is empty", flag, path)
	}
	return line, nil
}
