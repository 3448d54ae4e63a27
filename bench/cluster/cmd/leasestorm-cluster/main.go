// Command leasestorm-cluster is leasestorm with studies and storms over many hosts: `map --cluster`, `storm
// --agents`, and the verbs worker, agent and status. `make cluster` builds it.
package main

import (
	"os"

	"github.com/leasestorm/leasestorm/bench/cluster"
	"github.com/leasestorm/leasestorm/cmd/leasestorm/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:], cluster.New())) }
