//go:build linux

package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pseudoTerminal makes os.Stderr a terminal of 100 columns until the test ends. shown returns what was
// written to it; it waits for a text if there is one to wait for.
func pseudoTerminal(t *testing.T) (shown func(text string) string) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	fd := int(master.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 40, Col: 100})
	}
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	old := os.Stderr
	os.Stderr = slave
	var mu sync.Mutex
	var all bytes.Buffer
	more := sync.NewCond(&mu)
	go func() {
		buffer := make([]byte, 4096)
		for {
			n, err := master.Read(buffer)
			mu.Lock()
			all.Write(buffer[:n])
			mu.Unlock()
			more.Broadcast()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { os.Stderr = old; _ = slave.Close(); _ = master.Close() })
	return func(text string) string {
		late := false
		defer time.AfterFunc(time.Minute, func() { // what never comes
			mu.Lock()
			late = true
			mu.Unlock()
			more.Broadcast()
		}).Stop()
		mu.Lock()
		defer mu.Unlock()
		for !strings.Contains(all.String(), text) {
			if late {
				t.Fatalf("no %q in %q", text, all.String())
			}
			more.Wait()
		}
		return all.String()
	}
}

// On a terminal a run has a bar with a line of sparklines below, which are drawn over.
func TestTerminal(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "")
	shown := pseudoTerminal(t)
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	root := newRoot()
	root.SetOut(io.Discard)
	root.SetArgs(strings.Fields("sim load-ramp --leases 200000 --set loads=0.1,0.2 --set measure=1h --out none"))
	done := make(chan error, 1)
	go func() { done <- execute(ctx, root) }()
	shown("healthy so far")
	text := shown("\x1b[J") // once more, over it
	interrupt()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
	if !strings.Contains(text, "active 200,000 █") || !strings.Contains(text, "\x1b[32m  healthy so far\x1b[0m") {
		t.Errorf("on a terminal: %q", text)
	}
}

// On a dumb terminal there are plain lines.
func TestDumbTerminal(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("TERM", "dumb")
	shown := pseudoTerminal(t)
	root := newRoot()
	root.SetOut(io.Discard)
	root.SetArgs(strings.Fields("rank surge --engine virtual --leases 1000 --broken 100 --contestants fifo,deadline --seeds 1 --out ranking"))
	if err := execute(t.Context(), root); err != nil {
		t.Fatal(err)
	}
	if text := shown("after "); strings.Contains(text, "\x1b") || !strings.Contains(text, "surge-deadline-s1: about ") || strings.Contains(text, "▁") {
		t.Errorf("on a dumb terminal: %q", text)
	}
}
