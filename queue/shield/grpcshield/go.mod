// gRPC's interceptors for package shield. A module of its own, so that nobody who imports leasestorm
// downloads gRPC.
module github.com/leasestorm/leasestorm/queue/shield/grpcshield

go 1.26.0

require (
	github.com/leasestorm/leasestorm v0.0.0
	go.uber.org/atomic v1.12.0
	google.golang.org/genproto/googleapis/rpc v0.0.0-20260817212433-ac3dfec99bb1
	google.golang.org/grpc v1.85.0
	google.golang.org/protobuf v1.36.12
)

require (
	golang.org/x/net v0.60.0 // indirect
	golang.org/x/sys v0.50.0 // indirect
	golang.org/x/text v0.42.0 // indirect
)

replace github.com/leasestorm/leasestorm => ../../..
