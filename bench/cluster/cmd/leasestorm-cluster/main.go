// Command leasestorm-cluster is leasestorm with studies over many hosts: `map --cluster`, and the verbs
// worker and status. `make cluster` builds it.
package main

import (
	"os"

	"github.com/leasestorm/leasestorm/bench/cluster"
	"github.com/leasestorm/leasestorm/cmd/leasestorm/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:], cluster.New())) }
