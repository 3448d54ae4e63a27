// Package grpc is the protocol of grpc:// and grpcs://: unary calls of a service of yours. Importing it
// registers it.
//
// The URL is grpc://HOST:PORT/SERVICE/METHOD; what it leaves out, request.path of each class adds. The
// body is the request message in JSON, as protojson reads it, with the client's {placeholders}. The
// message's type comes from the server's reflection, or from ?descriptors=FILE: a .proto file, or a set of
// descriptors as protoc writes it.
package grpc

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"

	"github.com/leasestorm/leasestorm/bench/client"
	"github.com/leasestorm/leasestorm/bench/target/internal/wire"
	"github.com/leasestorm/leasestorm/queue"
)

func init() {
	open := func(s client.Settings) (client.Protocol, error) { return Open(s) }
	client.Register("grpc", open)
	client.Register("grpcs", open)
}

// Protocol calls the methods of a service.
type Protocol struct {
	*wire.Target
	calls [queue.Classes]call
}

// call is what a class calls.
type call struct {
	method  string // "/service/method"
	message *message
}

// Open finds the methods and messages, and opens the protocol. Its errors wrap client.ErrSettings.
func Open(s client.Settings) (*Protocol, error) {
	t, err := wire.Read(s, "descriptors", "import")
	if err != nil {
		return nil, err
	}
	p := &Protocol{Target: t}
	src, err := p.source()
	if err != nil {
		return nil, err
	}
	defer src.close()
	for class := range queue.Classes {
		if err := p.find(class, src); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// Connect implements client.Protocol.
func (p *Protocol) Connect(ctx context.Context) (client.Conn, error) {
	c, err := p.Target.Connect(ctx, p.Answers.Most)
	if err != nil {
		return nil, err
	}
	return &conn{c, p}, nil
}

// conn is one connection.
type conn struct {
	*wire.Conn
	p *Protocol
}

// Call implements client.Conn.
func (c *conn) Call(deadline time.Time, now func() time.Duration, r *client.Reply) bool {
	to := &c.p.calls[r.Class]
	ctx, cancel := c.Begin(deadline, now, &r.Attempt)
	defer cancel()
	text, err := to.message.bytes(&r.Attempt, time.Now().Add(r.Deadline()-now()))
	if err != nil { // the samples did not show it
		r.Kind, r.Outcome = client.OtherError, queue.Failed
		return true
	}
	err = c.Invoke(ctx, to.method, mem.BufferSlice{mem.SliceBuffer(text)}, nil,
		grpc.ForceCodecV2(raw{}), grpc.Header(&ctx.Header), grpc.Trailer(&ctx.Trailer))
	return c.End(ctx, err, r)
}

// raw is the codec of messages that are bytes already. Answers are not read: the server's status says
// what they are.
type raw struct{}

func (raw) Marshal(v any) (mem.BufferSlice, error)   { return v.(mem.BufferSlice), nil }
func (raw) Unmarshal(_ mem.BufferSlice, _ any) error { return nil }
func (raw) Name() string                             { return "proto" }
