package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// ErrInUse is returned, wrapped, for a path that another process has locked.
var ErrInUse = errors.New("in use")

// Lock excludes other processes. On systems with file locks the kernel releases it if the process
// dies.
type Lock struct {
	file *os.File
	path string
}

// Take creates and locks the lock file at path. what names the locked thing in errors, which wrap
// [ErrInUse] if another process holds the lock.
func Take(path, what string) (*Lock, error) {
	for range 100 {
		file, made, err := open(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // the file was removed between two calls
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
		if !hold(file, made) {
			defer func() { _ = file.Close() }() // only read
			return nil, inUse(file, what, path)
		}
		if now, err := os.Lstat(path); err == nil {
			if own, err := file.Stat(); err == nil && os.SameFile(now, own) {
				host, _ := os.Hostname()
				_ = file.Truncate(0)
				_, _ = fmt.Fprintf(file, "process %d on %s\n", os.Getpid(), host) // for whoever finds it taken
				return &Lock{file, path}, nil
			}
		}
		_ = file.Close() // the last holder has removed this file: it locks nothing any more
	}
	return nil, fmt.Errorf("%s: %w: its lock %s changes all the time", what, ErrInUse, path)
}

// open creates the file, or opens it if it is a regular file. made reports whether it was created.
func open(path string) (file *os.File, made bool, err error) {
	file, err = os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o644)
	if err == nil || !errors.Is(err, fs.ErrExist) {
		return file, true, err
	}
	info, err := os.Lstat(path)
	if err == nil {
		err = regular(path, info)
	}
	if err == nil {
		file, err = os.OpenFile(path, os.O_RDWR, 0)
	}
	return file, false, err
}

func inUse(file *os.File, what, path string) error {
	text := make([]byte, 200)
	n, _ := file.ReadAt(text, 0)
	by, _, _ := strings.Cut(string(text[:n]), "\n")
	if by == "" {
		by = "another process"
	}
	return fmt.Errorf("%s: %w by %s: wait for its end or name another folder (lock: %s)", what, ErrInUse, by, path)
}

// Release gives up the lock and removes its file. A second call does nothing.
func (l *Lock) Release() {
	if l.file != nil {
		release(l)
		l.file = nil
	}
}
