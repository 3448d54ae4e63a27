// Command leasestorm makes the surge of a returning dependency happen on demand and
// measures what keeps a lease manager alive. `leasestorm help` lists what it does.
package main

import (
	"os"

	"github.com/leasestorm/leasestorm/cmd/leasestorm/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:])) }
