// Package filestest tests that code survives the failure of each call that changes files.
package filestest

import (
	"errors"
	"sync"
	"testing"

	"github.com/leasestorm/leasestorm/bench/internal/files"
)

// ErrBroken is the error of the calls that EachCall makes fail.
var ErrBroken = errors.New("the disk is broken")

// EachCall runs do once for each call that do makes to files.Disk, with that call failing. A second
// round makes all later calls fail as well. After each run, look checks what is left. A write that
// fails has written half of its bytes.
func EachCall(t *testing.T, do func(t *testing.T) error, look func(t *testing.T, err error)) {
	t.Helper()
	sound := files.Disk
	defer func() { files.Disk = sound }()
	for _, lasting := range []bool{false, true} {
		for k := 1; ; k++ {
			l := &layer{sound: sound, fails: k, lasting: lasting}
			files.Disk = l
			err := do(t)
			files.Disk = &layer{sound: sound} // which does not fail
			if l.calls < k {
				if err != nil || k == 1 {
					t.Fatalf("with nothing broken, after %d calls: %v", l.calls, err)
				}
				break
			}
			look(t, err)
			if t.Failed() {
				t.Fatalf("when call %d failed (%s), and all after it: %v: %v", k, l.failed, lasting, err)
			}
		}
	}
}

// layer fails its calls from a number on, or one.
type layer struct {
	sound   files.Layer
	fails   int
	lasting bool
	mu      sync.Mutex
	calls   int
	failed  string
}

func (l *layer) next(what string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls++
	if l.calls == l.fails {
		l.failed = what
	}
	if l.calls == l.fails || l.lasting && l.calls > l.fails {
		return ErrBroken
	}
	return nil
}

func (l *layer) file(what string, open func() (files.File, error)) (files.File, error) {
	if err := l.next(what); err != nil {
		return nil, err
	}
	f, err := open()
	if err != nil {
		return nil, err
	}
	return &file{f, l}, nil
}

func (l *layer) Create(path string) (files.File, error) {
	return l.file("create "+path, func() (files.File, error) { return l.sound.Create(path) })
}

func (l *layer) Append(path string, size int64) (files.File, error) {
	return l.file("append "+path, func() (files.File, error) { return l.sound.Append(path, size) })
}

func (l *layer) do(what string, do func() error) error {
	if err := l.next(what); err != nil {
		return err
	}
	return do()
}

func (l *layer) Mkdir(path string) error {
	return l.do("mkdir "+path, func() error { return l.sound.Mkdir(path) })
}

func (l *layer) Rename(from, to string) error {
	return l.do("rename "+from, func() error { return l.sound.Rename(from, to) })
}

func (l *layer) Remove(path string) error {
	return l.do("remove "+path, func() error { return l.sound.Remove(path) })
}

func (l *layer) RemoveAll(path string) error {
	return l.do("remove all of "+path, func() error { return l.sound.RemoveAll(path) })
}

func (l *layer) SyncDir(path string) error {
	return l.next("sync folder " + path) // a test cannot cut the power, and syncing takes its time
}

type file struct {
	files.File
	l *layer
}

func (f *file) Write(p []byte) (int, error) {
	if err := f.l.next("write"); err != nil {
		n, _ := f.File.Write(p[:len(p)/2])
		return n, err
	}
	return f.File.Write(p)
}

func (f *file) Sync() error { return f.l.next("sync") }

func (f *file) Close() error {
	err := f.File.Close() // whatever it says, the descriptor is gone
	return errors.Join(f.l.next("close"), err)
}
