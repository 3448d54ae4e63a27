package main

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/leasestorm/leasestorm/queue/shield"
	"github.com/leasestorm/leasestorm/queue/shield/grpcshield"
)

// grpcServer serves lease.proto, shielded or not.
func grpcServer(m *manager, shielded bool, timeout time.Duration) (*grpc.Server, error) {
	var options []grpc.ServerOption
	if shielded {
		gate, err := shield.New(shield.Config{Concurrency: 1, Timeout: timeout})
		if err != nil {
			return nil, err
		}
		options = append(options, grpc.UnaryInterceptor(grpcshield.UnaryServerInterceptor(gate, grpcshield.Server{})))
	}
	s := grpc.NewServer(options...)
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: "lease.v1.Leases", HandlerType: (*any)(nil), Metadata: "lease.proto",
		Methods: []grpc.MethodDesc{
			{MethodName: "Establish", Handler: unary("Establish", m.establish)},
			{MethodName: "Check", Handler: unary("Check", m.check)},
		},
	}, m)
	return s, nil
}

// unary is a method that protoc would make for a function of a droplet.
func unary(name string, do func(droplet uint32) (int64, error)) grpc.MethodHandler {
	serve := func(_ context.Context, req any) (any, error) {
		epoch, err := do(req.(*wrapperspb.UInt32Value).GetValue())
		switch {
		case errors.Is(err, errNoLease):
			return nil, status.Error(codes.NotFound, err.Error())
		case err != nil:
			return nil, status.Error(codes.Internal, err.Error())
		}
		return wrapperspb.Int64(epoch), nil
	}
	return func(srv any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
		req := &wrapperspb.UInt32Value{}
		if err := decode(req); err != nil {
			return nil, err
		}
		if intercept == nil {
			return serve(ctx, req)
		}
		return intercept(ctx, req, &grpc.UnaryServerInfo{Server: srv, FullMethod: "/lease.v1.Leases/" + name}, serve)
	}
}
