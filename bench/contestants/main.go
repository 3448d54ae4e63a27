// Command contestants is the full leasestorm command with limiters, breakers and queues of
// libraries that people import: `make bench-contestants`. `list` names them, each twice
// where its documentation says how to tune it: with its defaults, and tuned.
package main

import (
	"os"

	"github.com/leasestorm/leasestorm/cmd/leasestorm/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:])) }
