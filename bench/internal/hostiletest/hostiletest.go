// Package hostiletest is a server for tests that speaks no protocol: each test says what its connections get.
package hostiletest

import (
	"net"
	"testing"
)

// Serve serves each connection by a function, until the test ends, and closes it then. It returns the
// server's address, HOST:PORT on loopback.
func Serve(t testing.TB, serve func(c net.Conn)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				serve(c)
			}()
		}
	}()
	return l.Addr().String()
}
