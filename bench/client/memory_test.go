package client

import (
	"net"
	"runtime"
	"runtime/debug"
	"slices"
	"testing"
	"time"

	"github.com/leasestorm/leasestorm/queue"
)

// memory is what this process holds, in bytes: the heap after a collection, and the stacks.
func memory() int64 {
	runtime.GC()
	runtime.GC() // what had a finalizer
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// 10^5 droplets, all with an attempt out, fit into 1 GiB, 10 KiB each, even if each has a connection of its own. Those
// that wait for one take hardly more than their attempt. The server's sockets are in this process, and count, too.
func TestMemory(t *testing.T) {
	const calls, waiting = 400, 20_000
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan net.Conn, calls)
	go func() {
		for one := make([]byte, 1); ; {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(one) // it has the request, and never answers
			asked <- conn
		}
	}()
	defer func() {
		_ = l.Close()
		for range calls {
			_ = (<-asked).Close()
		}
	}()
	s := settingsOf(t, "http://"+l.Addr().String(), "connections.most=400")
	p, err := Open(s)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	now := func() time.Duration { return time.Since(began) }
	c := NewPool(s, p, now)
	defer c.Close()
	before, droplet := memory(), uint32(0)
	send := func(n int) {
		for range n {
			c.Send(&Attempt{Born: now(), Timeout: queue.ToMicros(time.Hour), Droplet: droplet, Class: queue.Establish})
			droplet++
		}
	}
	send(calls)
	for len(asked) < calls {
		time.Sleep(time.Millisecond)
	}
	out := memory()
	most := int64(1 << 30 / 100_000)
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		most *= 2 // the race detector has larger stacks
	}
	if each := (out - before) / calls; each > most {
		t.Errorf("a call and its connection hold %d bytes: want at most %d", each, most)
	} else {
		t.Logf("a call holds %d bytes", each)
	}
	send(waiting)
	for c.Stats().Waits < waiting {
		time.Sleep(time.Millisecond)
	}
	if each := (memory() - out) / waiting; each > 512 {
		t.Errorf("an attempt that waits for a connection holds %d bytes: want at most 512", each)
	} else {
		t.Logf("an attempt that waits holds %d bytes", each)
	}
}
