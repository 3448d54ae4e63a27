package grpcshield_test

import (
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/leasestorm/leasestorm/queue/shield"
	"github.com/leasestorm/leasestorm/queue/shield/grpcshield"
)

// One gate for unary calls, and one for streams, which stay open.
func ExampleUnaryServerInterceptor() {
	calls, err := shield.New(shield.Config{Concurrency: 8, Timeout: 2 * time.Second})
	if err != nil {
		panic(err)
	}
	streams, err := shield.New(shield.Config{Concurrency: 1000, Timeout: 2 * time.Second})
	if err != nil {
		panic(err)
	}
	server := grpc.NewServer(
		grpc.UnaryInterceptor(grpcshield.UnaryServerInterceptor(calls, grpcshield.Server{})),
		grpc.StreamInterceptor(grpcshield.StreamServerInterceptor(streams, grpcshield.Server{})))
	server.Stop()
	// Output:
}

// A client that keeps to a retry budget and to what servers say.
func ExampleUnaryClientInterceptor() {
	again, err := grpcshield.UnaryClientInterceptor(grpcshield.Client{Retry: "retry-budget", Timeout: time.Second})
	if err != nil {
		panic(err)
	}
	conn, err := grpc.NewClient("127.0.0.1:8080", grpc.WithUnaryInterceptor(again), grpc.WithDisableRetry(),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		panic(err)
	}
	_ = conn.Close()
	// Output:
}
