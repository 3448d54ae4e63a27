//go:build !js

// Command leasestorm-play is the playground's engine, and runs in a browser only: see main_js.go.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "leasestorm-play is made for GOOS=js GOARCH=wasm; 'make build' puts it into the command, and 'leasestorm play' serves it")
	os.Exit(2)
}
