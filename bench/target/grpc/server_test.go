package grpc

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/reflection"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	reflectionv1alpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/leasestorm/leasestorm/bench/client"
	"github.com/leasestorm/leasestorm/bench/internal/hostiletest"
	"github.com/leasestorm/leasestorm/queue"
)

const protoFile = "testdata/lease.proto"

// service answers a call of lease.v1.Leases.
type service func(ctx context.Context, ask *dynamicpb.Message, stream grpc.ServerStream) error

// types are those of testdata/lease.proto.
func types(t testing.TB) *protoregistry.Files {
	t.Helper()
	all, err := read([]string{protoFile}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func messageOf(t testing.TB, all *protoregistry.Files, name protoreflect.FullName) protoreflect.MessageDescriptor {
	t.Helper()
	d, err := all.FindDescriptorByName(name)
	if err != nil {
		t.Fatal(err)
	}
	return d.(protoreflect.MessageDescriptor)
}

// grant is an answer with a payload.
func grant(t testing.TB, all *protoregistry.Files, size int) *dynamicpb.Message {
	t.Helper()
	m := dynamicpb.NewMessage(messageOf(t, all, "lease.v1.Grant"))
	if size > 0 {
		m.Set(m.Descriptor().Fields().ByName("payload"), protoreflect.ValueOfBytes(make([]byte, size)))
	}
	return m
}

// described are the services that reflection lists.
type described struct{}

func (described) GetServiceInfo() map[string]grpc.ServiceInfo {
	return map[string]grpc.ServiceInfo{"lease.v1.Leases": {}}
}

// serve starts a server, with reflection of the version given (1, 0 for v1alpha, -1 for none).
func serve(t testing.TB, answer service, version int, options ...grpc.ServerOption) (url string, server *grpc.Server) {
	t.Helper()
	all := types(t)
	ask := messageOf(t, all, "lease.v1.Ask")
	server = grpc.NewServer(append(options, grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		if name, _ := grpc.MethodFromServerStream(stream); !strings.HasPrefix(name, "/lease.v1.Leases/") {
			return status.Error(codes.Unimplemented, name)
		}
		in := dynamicpb.NewMessage(ask)
		if err := stream.RecvMsg(in); err != nil {
			return err
		}
		return answer(stream.Context(), in, stream)
	}))...)
	how := reflection.ServerOptions{Services: described{}, DescriptorResolver: all}
	switch version {
	case 1:
		reflectionv1.RegisterServerReflectionServer(server, reflection.NewServerV1(how))
	case 0:
		reflectionv1alpha.RegisterServerReflectionServer(server, reflection.NewServer(how)) //nolint:staticcheck // old servers have it
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(l)
	}()
	t.Cleanup(func() { server.Stop(); <-ended })
	return "grpc://" + l.Addr().String(), server
}

// frames starts a server that answers the first call of each connection by frames of its own.
func frames(t testing.TB, answer func(f *http2.Framer, stream uint32)) (url string) {
	return hostile(t, func(c net.Conn) {
		if _, err := io.ReadFull(c, make([]byte, len(http2.ClientPreface))); err != nil {
			return
		}
		f := http2.NewFramer(c, c)
		if f.WriteSettings() != nil {
			return
		}
		for {
			frame, err := f.ReadFrame()
			if err != nil {
				return
			}
			switch frame := frame.(type) {
			case *http2.SettingsFrame:
				if !frame.IsAck() && f.WriteSettingsAck() != nil {
					return
				}
			case *http2.HeadersFrame:
				answer(f, frame.StreamID)
			}
		}
	})
}

// writeHeaders writes headers, or trailers.
func writeHeaders(f *http2.Framer, stream uint32, end bool, pairs ...string) {
	var text bytes.Buffer
	e := hpack.NewEncoder(&text)
	for i := 0; i < len(pairs); i += 2 {
		_ = e.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
	}
	const most = 16_000 // bytes of a frame
	first := text.Next(most)
	_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: first, EndHeaders: text.Len() == 0, EndStream: end})
	for text.Len() > 0 {
		next := text.Next(most)
		_ = f.WriteContinuation(stream, text.Len() == 0, next)
	}
}

// hostile serves each connection by a function.
func hostile(t testing.TB, serve func(c net.Conn)) (url string) {
	t.Helper()
	return "grpc://" + hostiletest.Serve(t, serve)
}

// settingsOf are the defaults for a server.
func settingsOf(t testing.TB, url string, set ...string) client.Settings {
	t.Helper()
	s := client.Default()
	s.URL = url
	if err := s.Set(set...); err != nil {
		t.Fatal(err)
	}
	return s
}

// ask sends n attempts of the given timeout and returns their replies.
func ask(t testing.TB, s client.Settings, n int, timeout time.Duration) ([]client.Reply, client.Stats) {
	t.Helper()
	p, err := client.Open(s)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	now := func() time.Duration { return time.Since(began) }
	c := client.NewPool(s, p, now)
	defer c.Close()
	for i := range n {
		c.Send(&client.Attempt{Born: now(), Timeout: queue.ToMicros(timeout), Droplet: uint32(i), Class: queue.Establish, Try: 3})
	}
	var all []client.Reply
	var buf [16]client.Reply
	for late := time.Now().Add(30 * time.Second); c.Out() > 0; time.Sleep(time.Millisecond) {
		k := c.Replies(buf[:])
		all = append(all, buf[:k]...)
		if time.Now().After(late) {
			t.Fatalf("%d replies, and %d attempts are out", len(all), c.Out())
		}
	}
	return all, c.Stats()
}
