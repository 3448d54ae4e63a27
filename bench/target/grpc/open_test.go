package grpc

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/leasestorm/leasestorm/bench/client"
	"github.com/leasestorm/leasestorm/queue"
)

const body = `{{"droplet": {droplet}, "name": "vm-{droplet}-{class}-{zone}", "kind": "CHECK", "ttl": "30s", "try": {try}, ` +
	`"labels": {{"a": "{lease}", "b": "x"}}, "before": [{{"droplet": 7}}], "deadline_ms": "{deadline_ms}"}}`

// answersGood grants every lease.
func answersGood(t testing.TB) service {
	all := types(t)
	return func(_ context.Context, _ *dynamicpb.Message, stream grpc.ServerStream) error {
		return stream.SendMsg(grant(t, all, 0))
	}
}

// set writes a set of descriptors as protoc does.
func set(t testing.TB) string {
	t.Helper()
	var all descriptorpb.FileDescriptorSet
	types(t).RangeFiles(func(f protoreflect.FileDescriptor) bool {
		all.File = append(all.File, protodesc.ToFileDescriptorProto(f))
		return true
	})
	text, err := proto.Marshal(&all)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "lease.pb")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// Wherever the descriptors come from, the bytes are those of the message in JSON.
func TestMessages(t *testing.T) {
	v1, _ := serve(t, answersGood(t), 1)
	alpha, _ := serve(t, answersGood(t), 0)
	none, _ := serve(t, answersGood(t), -1)
	const service = "/lease.v1.Leases"
	want := dynamicpb.NewMessage(messageOf(t, types(t), "lease.v1.Ask"))
	const text = `{"droplet": 70000, "name": "vm-70000-check-2", "kind": 1, "ttl": "30s", "try": 255, "labels": {"b": "x", "a": "9"}, "before": [{"droplet": 7}], "deadlineMs": 1760952300000}`
	if err := protojson.Unmarshal([]byte(text), want); err != nil {
		t.Fatal(err)
	}
	bytes, err := proto.MarshalOptions{Deterministic: true}.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	a := client.Attempt{Droplet: 70000, Class: queue.Check, Zone: 2, Try: 255, Lease: 9}
	for name, url := range map[string]string{
		"reflection": v1 + service, "v1alpha": alpha + service, "proto": none + service + "?descriptors=" + protoFile,
		"proto with imports": none + service + "?descriptors=testdata/lease.proto&import=testdata", "set": none + service + "?descriptors=" + set(t),
	} {
		p, err := Open(settingsOf(t, url, "request.path=/Establish", "class.check.path=/Check", "class.check.body="+body))
		if err != nil {
			t.Fatal(name, err)
		}
		got, err := p.calls[queue.Check].message.bytes(&a, time.UnixMilli(1760952300000))
		if err != nil || !slices.Equal(got, bytes) {
			t.Errorf("%s: %v\n%x, want\n%x", name, err, got, bytes)
		}
		for class, method := range map[queue.Class]string{queue.Check: "Check", queue.Establish: "Establish", queue.Launch: "Establish"} {
			if got := p.calls[class].method; got != service+"/"+method {
				t.Errorf("%s: %s calls %s", name, class, got)
			}
		}
	}
}

// The server gets the message and the metadata.
func TestMessageArrives(t *testing.T) {
	all := types(t)
	asked := make(chan string, 100)
	url, _ := serve(t, func(ctx context.Context, in *dynamicpb.Message, stream grpc.ServerStream) error {
		md, _ := metadata.FromIncomingContext(ctx)
		asked <- in.Get(in.Descriptor().Fields().ByName("name")).String() + " " + strings.Join(append(md["x-id"], md["token"]...), " ") + " " + strings.Join(md[":authority"], "")
		return stream.SendMsg(grant(t, all, 0))
	}, 1)
	s := settingsOf(t, url+"/lease.v1.Leases/Establish", `request.body={{"name": "{droplet}"}}`, "request.headers.X-Id=no {droplet}", "request.headers.token=secret")
	replies, stats := ask(t, s, 100, 20*time.Second)
	var got, want []string
	for i, r := range replies {
		got, want = append(got, <-asked), append(want, strings.ReplaceAll("% no % secret ", "%", itoa(i))+strings.TrimPrefix(url, "grpc://"))
		if r.Outcome != queue.Good {
			t.Errorf("%+v", replyOf(&r))
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) || stats.Dials > 2 {
		t.Errorf("%d connections, %q, want %q", stats.Dials, got, want)
	}
	s.Connections.Pool = "droplet"
	if _, stats := ask(t, s, 5, 20*time.Second); stats.Dials != 5 {
		t.Errorf("%d connections of 5 droplets", stats.Dials)
	}
}

func itoa(i int) string { return big.NewInt(int64(i)).String() }

// What cannot be called is refused before the first call, and the error names what there is.
func TestRefused(t *testing.T) {
	called := make(chan string, 1)
	url, _ := serve(t, func(context.Context, *dynamicpb.Message, grpc.ServerStream) error {
		called <- "called"
		return nil
	}, 1)
	none, _ := serve(t, answersGood(t), -1)
	bad := filepath.Join(t.TempDir(), "bad.pb")
	if err := os.WriteFile(bad, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	const file = "?descriptors=" + protoFile
	for _, tt := range []struct {
		url  string
		set  []string
		want string
	}{
		{url, nil, "there are lease.v1.Leases"},
		{url + "/lease.v1.Lease/Establish", nil, "lease.v1.Leases"},
		{url + "/lease.v1.Leases", nil, "Check, Establish, Watch"},
		{url + "/lease.v1.Leases/Grant", nil, "Check, Establish, Watch"},
		{url + "/lease.v1.Ask/Grant", nil, "no such service"},
		{url + "/lease.v1.Leases/Watch", nil, "unary"},
		{url + "/lease.v1.Leases/Establish", []string{`class.check.body={{"droplets": 1}}`}, "class.check.body"},
		{url + "/lease.v1.Leases/Establish", []string{`request.body={{"droplets": 1}}`}, "before, deadline_ms, droplet, kind, labels, name, try, ttl"},
		{url + "/lease.v1.Leases/Establish", []string{`request.body={{"droplet": "{class}"}}`}, "droplet"},
		{url + "/lease.v1.Leases/Establish", []string{`request.body={{"droplet": `}, "body"},
		{url + "/lease.v1.Leases/Establish", []string{`request.body={{"droplet": {drop}}}`}, "{drop}"},
		{none + "/lease.v1.Leases/Establish", nil, "?descriptors=FILE"},
		{"grpc://127.0.0.1:1/lease.v1.Leases/Establish", nil, "connection refused"},
		{none + "/lease.v1.Leases/Establish?descriptors=none.proto", nil, "none.proto"},
		{none + "/lease.v1.Leases/Establish?descriptors=" + bad, nil, "--include_imports"},
		{none + "/lease.v1.Leases/Establish" + file + "&x=1", nil, "?x="},
		{none + "/lease.v1.Leases/Establish?import=testdata", nil, "?import="},
		{none + "/lease.v1.Leases/Establish" + file, []string{"connections.protocol=h2c"}, "connections.protocol"},
		{none + "/lease.v1.Leases/Establish" + file, []string{"request.method=PUT"}, "request.method"},
		{none + "/lease.v1.Leases/Establish" + file, []string{"request.headers.grpc-timeout=1S"}, "{left_ms}m"},
		{none + "/lease.v1.Leases/Establish" + file, []string{"request.headers.te=x"}, "te"},
		{none + "/lease.v1.Leases/Establish" + file, []string{"request.headers.a*b=x"}, "metadata"},
		{none + "/lease.v1.Leases/Establish" + file, []string{"request.headers.x=ü"}, "ASCII"},
		{none + "/lease.v1.Leases/Establish" + file, []string{"connections.insecure=true"}, "TLS"},
	} {
		if _, err := client.Open(settingsOf(t, tt.url, tt.set...)); !errors.Is(err, client.ErrSettings) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s %v: %v, want %s", strings.TrimPrefix(tt.url, url), tt.set, err, tt.want)
		}
	}
	select {
	case <-called:
		t.Error("a call was made")
	default:
	}
}

// certificate makes one for 127.0.0.1, and a file that trusts it.
func certificate(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}

// TLS is checked unless the user says otherwise.
func TestTLS(t *testing.T) {
	cert, file := certificate(t)
	url, _ := serve(t, answersGood(t), 1, grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})))
	url = strings.Replace(url, "grpc:", "grpcs:", 1) + method
	plain, _ := serve(t, answersGood(t), 1)
	for name, tt := range map[string]struct {
		url  string
		set  []string
		want client.Kind
	}{
		"trusted":   {url, []string{"connections.ca=" + file}, client.Answered},
		"unchecked": {url, []string{"connections.insecure=true"}, client.Answered},
		"unknown":   {url, nil, client.TLS},
		"none":      {strings.Replace(plain, "grpc:", "grpcs:", 1) + method, nil, client.TLS},
	} {
		if replies, _ := ask(t, settingsOf(t, tt.url, tt.set...), 1, 20*time.Second); replies[0].Kind != tt.want {
			t.Errorf("%s: %+v, want %v", name, replyOf(&replies[0]), tt.want)
		}
	}
}

// A server that ends gracefully answers what it has begun; one that is killed does not. Neither connection
// is used again.
func TestServerEnds(t *testing.T) {
	for name, tt := range map[string]struct {
		end  func(*grpc.Server)
		want []client.Kind
	}{
		"gracefully": {(*grpc.Server).GracefulStop, []client.Kind{client.Answered}},
		"killed":     {(*grpc.Server).Stop, []client.Kind{client.Closed, client.Reset, client.GoAway}},
	} {
		t.Run(name, func(t *testing.T) {
			all := types(t)
			begun, goOn := make(chan struct{}), make(chan struct{})
			url, server := serve(t, func(ctx context.Context, _ *dynamicpb.Message, stream grpc.ServerStream) error {
				close(begun)
				select {
				case <-goOn:
				case <-ctx.Done():
				}
				return stream.SendMsg(grant(t, all, 0))
			}, -1)
			p, err := Open(settingsOf(t, url+method))
			if err != nil {
				t.Fatal(err)
			}
			c, err := p.Connect(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				<-begun
				tt.end(server)
			}()
			go func() {
				<-begun
				for c.(*conn).Usable() { // until the client has seen the GOAWAY, or the end
					time.Sleep(time.Millisecond)
				}
				close(goOn)
			}()
			began := time.Now()
			now := func() time.Duration { return time.Since(began) }
			r := client.Reply{Attempt: client.Attempt{Class: queue.Establish, Timeout: queue.ToMicros(20 * time.Second)}}
			usable := c.Call(time.Now().Add(20*time.Second), now, &r)
			if usable || !slices.Contains(tt.want, r.Kind) {
				t.Errorf("%+v, usable %v", replyOf(&r), usable)
			}
			<-ended
			again := client.Reply{Attempt: r.Attempt}
			if c.Call(time.Now().Add(20*time.Second), now, &again) || again.Kind != client.GoAway && again.Kind != client.Closed && again.Kind != client.Reset {
				t.Errorf("then %+v", replyOf(&again))
			}
		})
	}
}

// A client that is closed leaves nothing running, whatever its calls were about to do.
func TestLeavesNothing(t *testing.T) {
	url, _ := serve(t, func(ctx context.Context, in *dynamicpb.Message, _ grpc.ServerStream) error {
		if in.Get(in.Descriptor().Fields().ByName("droplet")).Uint()%2 == 0 {
			<-ctx.Done()
		}
		return nil
	}, 1)
	before := goleak.IgnoreCurrent()
	for _, pool := range []string{"shared", "droplet"} {
		s := settingsOf(t, url+"/lease.v1.Leases/Establish", `request.body={{"droplet": {droplet}}}`, "connections.pool="+pool)
		p, err := Open(s)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		now := func() time.Duration { return time.Since(began) }
		c := client.NewPool(s, p, now)
		for i := range uint32(20) {
			c.Send(&client.Attempt{Droplet: i, Born: now(), Timeout: queue.ToMicros(20 * time.Second)})
		}
		var one [1]client.Reply
		for c.Replies(one[:]) == 0 {
			time.Sleep(time.Millisecond)
		}
		c.Close()
	}
	goleak.VerifyNone(t, before)
}

// BenchmarkMessage makes the bytes of a request.
func BenchmarkMessage(b *testing.B) {
	desc := messageOf(b, types(b), "lease.v1.Ask")
	for name, text := range map[string]string{"fixed": `{{"name": "x"}}`, "droplet": `{{"droplet": {droplet}, "name": "vm-{droplet}", "ttl": "30s"}}`, "try": `{{"droplet": {droplet}, "try": {try}}}`} {
		b.Run(name, func(b *testing.B) {
			m, err := newMessage("body", text, queue.Check, desc)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for i := range b.N {
				if _, err := m.bytes(&client.Attempt{Droplet: uint32(i % 1000)}, time.Time{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
