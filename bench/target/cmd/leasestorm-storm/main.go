// Command leasestorm-storm is leasestorm with two protocols more: storms over gRPC, and on etcd's leases.
// `make storm` builds it.
package main

import (
	"os"

	_ "github.com/leasestorm/leasestorm/bench/target/etcd"
	_ "github.com/leasestorm/leasestorm/bench/target/grpc"
	"github.com/leasestorm/leasestorm/cmd/leasestorm/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:])) }
