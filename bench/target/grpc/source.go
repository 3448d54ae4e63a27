package grpc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/bufbuild/protocompile"
	"github.com/jhump/protoreflect/v2/grpcreflect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/leasestorm/leasestorm/bench/client"
	"github.com/leasestorm/leasestorm/queue"
)

// reflectionTime is how long the server may take to describe itself, and mostDescriptors the size of a
// description in bytes.
const (
	reflectionTime  = 10 * time.Second
	mostDescriptors = 16 << 20
)

// source is where descriptors come from.
type source struct {
	find     func(name protoreflect.FullName) (protoreflect.Descriptor, error)
	services func() ([]protoreflect.FullName, error)
	close    func()
}

// source opens the source that the URL names: a file, or else the server's reflection.
func (p *Protocol) source() (*source, error) {
	if files := p.Query["descriptors"]; len(files) > 0 {
		all, err := read(files, p.Query["import"])
		if err != nil {
			return nil, client.Bad("url", "?descriptors=%s: %v", strings.Join(files, ", "), err)
		}
		return &source{all.FindDescriptorByName, func() ([]protoreflect.FullName, error) { return servicesOf(all), nil }, func() {}}, nil
	}
	if p.Query.Has("import") {
		return nil, client.Bad("url", "?import=: it goes with ?descriptors=FILE.proto")
	}
	ctx, cancel := context.WithTimeout(context.Background(), reflectionTime)
	c, err := p.Target.Connect(ctx, mostDescriptors)
	if err != nil {
		cancel()
		return nil, client.Bad("url", "the server describes its messages by reflection, and it cannot be asked: %v", err)
	}
	reflection := grpcreflect.NewClientAuto(ctx, c)
	return &source{
		find: func(name protoreflect.FullName) (protoreflect.Descriptor, error) {
			file, err := reflection.FileContainingSymbol(name)
			if err != nil {
				return nil, err
			}
			all := &protoregistry.Files{}
			if err := add(all, file); err != nil {
				return nil, err
			}
			return all.FindDescriptorByName(name)
		},
		services: reflection.ListServices,
		close: func() {
			reflection.Reset()
			c.Close()
			cancel()
		},
	}, nil
}

// read reads .proto files, or sets of descriptors.
func read(names, imports []string) (*protoregistry.Files, error) {
	all := &protoregistry.Files{}
	for _, name := range names {
		if strings.HasSuffix(name, ".proto") {
			resolver := &protocompile.SourceResolver{ImportPaths: append(slices.Clone(imports), filepath.Dir(name))}
			path := filepath.Base(name)
			for _, dir := range imports { // the name that others import it by
				if rel, err := filepath.Rel(dir, name); err == nil && filepath.IsLocal(rel) {
					path = filepath.ToSlash(rel)
					break
				}
			}
			compiler := protocompile.Compiler{Resolver: protocompile.WithStandardImports(resolver)}
			files, err := compiler.Compile(context.Background(), path)
			if err != nil {
				return nil, err
			}
			for _, f := range files {
				if err := add(all, f); err != nil {
					return nil, err
				}
			}
			continue
		}
		if len(imports) > 0 {
			return nil, errors.New("?import= goes with .proto files: a set of descriptors has what it imports (protoc --include_imports)")
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		var set descriptorpb.FileDescriptorSet
		if err := proto.Unmarshal(text, &set); err != nil || len(set.GetFile()) == 0 {
			return nil, errors.New("neither a .proto file nor a set of descriptors (protoc --include_imports --descriptor_set_out=FILE)")
		}
		files, err := protodesc.NewFiles(&set)
		if err != nil {
			return nil, fmt.Errorf("%w: was it made with protoc --include_imports?", err)
		}
		files.RangeFiles(func(f protoreflect.FileDescriptor) bool {
			err = add(all, f)
			return err == nil
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// add adds a file with what it imports.
func add(all *protoregistry.Files, f protoreflect.FileDescriptor) error {
	if _, err := all.FindFileByPath(f.Path()); err == nil || f.IsPlaceholder() {
		return nil
	}
	for i := range f.Imports().Len() {
		if err := add(all, f.Imports().Get(i).FileDescriptor); err != nil {
			return err
		}
	}
	return all.RegisterFile(f)
}

func servicesOf(all *protoregistry.Files) (names []protoreflect.FullName) {
	all.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		for i := range f.Services().Len() {
			names = append(names, f.Services().Get(i).FullName())
		}
		return true
	})
	return names
}

// find finds the method of a class and compiles its message.
func (p *Protocol) find(class queue.Class, src *source) error {
	r, path := p.Of(class), strings.TrimSuffix(p.URL.Path, "/")
	if r.Path != client.Default().Request.Path { // which is for http
		path += r.Path
	}
	key := "class." + class.String() + ".path"
	name, method, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	desc, err := src.find(protoreflect.FullName(name))
	service, ok := desc.(protoreflect.ServiceDescriptor)
	if name == "" || err != nil || !ok {
		known, listErr := src.services()
		if listErr != nil {
			return client.Bad("url", "the server describes its messages by reflection, and it does not: %v: name a file: ?descriptors=FILE", listErr)
		}
		if err != nil && slices.Contains(known, protoreflect.FullName(name)) {
			return client.Bad("url", "service %q: %v", name, err)
		}
		return client.Bad("url", "%q: no such service: there are %s; want grpc://HOST:PORT/SERVICE/METHOD", name, names(known))
	}
	m := service.Methods().ByName(protoreflect.Name(method))
	if m == nil {
		var known []protoreflect.Name
		for i := range service.Methods().Len() {
			known = append(known, service.Methods().Get(i).Name())
		}
		return client.Bad(key, "%q: service %s has no such method: it has %s", method, name, names(known))
	}
	if m.IsStreamingClient() || m.IsStreamingServer() {
		return client.Bad(key, "%s streams: want a unary method", m.FullName())
	}
	msg, err := newMessage("class."+class.String()+".body", r.Body, class, m.Input())
	p.calls[class] = call{"/" + name + "/" + method, msg}
	return err
}

// names lists names in order.
func names[T ~string](all []T) string {
	all = slices.Sorted(slices.Values(all))
	texts := make([]string, len(all))
	for i, n := range all {
		texts[i] = string(n)
	}
	return strings.Join(texts, ", ")
}
