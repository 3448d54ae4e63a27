package grpc

import (
	"bytes"
	"cmp"
	"math"
	"sync"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/leasestorm/leasestorm/bench/client"
	"github.com/leasestorm/leasestorm/queue"
)

// message makes the bytes of a class's requests.
type message struct {
	text  client.Template
	desc  protoreflect.MessageDescriptor
	types *dynamicpb.Types // of messages in an Any
	fixed []byte           // nil: they differ by attempt
	// known are the bytes by droplet, if an attempt's differ by nothing else: to make them costs as much as a
	// call. nil: they differ by more.
	known *sync.Map
}

// newMessage compiles a text of JSON. Attempts of small and of large numbers show whether it parses.
func newMessage(key, text string, class queue.Class, desc protoreflect.MessageDescriptor) (*message, error) {
	t, err := client.ParseTemplate(key, cmp.Or(text, "{{}}"))
	if err != nil {
		return nil, err
	}
	files := &protoregistry.Files{}
	if err := add(files, desc.ParentFile()); err != nil {
		return nil, client.Bad("url", "%v", err)
	}
	m := &message{text: t, desc: desc, types: dynamicpb.NewTypes(files)}
	for _, a := range []client.Attempt{
		{Class: class}, {Class: class, Droplet: 1 << 20, Lease: math.MaxInt32, Timeout: queue.ToMicros(time.Minute), Try: math.MaxUint8},
	} {
		out, err := m.bytes(&a, time.Now())
		if err != nil {
			var fields []protoreflect.Name
			for i := range desc.Fields().Len() {
				fields = append(fields, desc.Fields().Get(i).Name())
			}
			return nil, client.Bad(key, "%q is no %s, whose fields are %s: %v", t.Append(nil, &a, time.Now()), desc.FullName(), names(fields), err)
		}
		if t.Fixed() {
			m.fixed = out
		}
	}
	// Both deadlines are ahead: of any that has passed {left_ms} is 0.
	at := time.Now().Add(time.Hour)
	one := t.Append(nil, &client.Attempt{Class: class, Droplet: 1}, at)
	other := t.Append(nil, &client.Attempt{Class: class, Droplet: 1, Zone: 1, Lease: 1, Try: 1}, at.Add(time.Hour))
	if m.fixed == nil && bytes.Equal(one, other) {
		m.known = &sync.Map{}
	}
	return m, nil
}

// bytes are the message of an attempt of the given deadline.
func (m *message) bytes(a *client.Attempt, deadline time.Time) ([]byte, error) {
	if m.fixed != nil {
		return m.fixed, nil
	}
	if m.known != nil {
		if out, ok := m.known.Load(a.Droplet); ok {
			return out.([]byte), nil
		}
	}
	msg := dynamicpb.NewMessage(m.desc)
	if err := (protojson.UnmarshalOptions{Resolver: m.types}).Unmarshal(m.text.Append(nil, a, deadline), msg); err != nil {
		return nil, err
	}
	out, err := proto.MarshalOptions{Deterministic: true}.Marshal(msg)
	if err == nil && m.known != nil {
		m.known.Store(a.Droplet, out)
	}
	return out, err
}
