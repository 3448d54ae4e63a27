// Package files writes result files. A killed process or a full disk leaves no partial file under a
// final name, and a link in a folder never causes a write outside it.
package files

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

// Layer is the set of calls that change files. A test replaces Disk by a Layer that fails.
type Layer interface {
	// Create creates a file. It fails if path exists, even as a link.
	Create(path string) (File, error)
	// Append opens a regular file, not a link to one, truncates it to size bytes, and appends to
	// it.
	Append(path string, size int64) (File, error)
	Mkdir(path string) error
	Rename(from, to string) error
	Remove(path string) error
	RemoveAll(path string) error
	// SyncDir makes the names in a folder durable.
	SyncDir(path string) error
}

// File is a file that is open for writing.
type File interface {
	io.WriteCloser
	Sync() error
}

// Disk is the layer in use.
var Disk Layer = system{}

// unfinished is the part of a temporary name between the final name and a random number.
const unfinished = ".unfinished-"

// lockEnd is the end of the name of a lock file, which begins with a dot.
const lockEnd = ".lock"

// LockOf returns the path of the lock file for path.
func LockOf(path string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+lockEnd)
}

// Left returns the names of the temporary files and locks in a folder, which killed processes left.
func Left(dir string) (names []string, err error) {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if name := e.Name(); Final(name) != "" {
			names = append(names, name)
		}
	}
	return names, err
}

// Final returns the final name for the name of a temporary file or a lock; "" for any other name.
func Final(name string) string {
	rest, dot := strings.CutPrefix(name, ".")
	final, _, temp := strings.Cut(rest, unfinished)
	if !temp {
		final, temp = strings.CutSuffix(rest, lockEnd)
	}
	if !dot || !temp {
		return ""
	}
	return final
}

// temporary calls make with random names beside path until make finds a name that is free.
func temporary(path string, make func(temp string) error) (temp string, err error) {
	for range 100 {
		temp = filepath.Join(filepath.Dir(path), fmt.Sprintf(".%s%s%016x", filepath.Base(path), unfinished, rand.Uint64()))
		if err = make(temp); !errors.Is(err, fs.ErrExist) {
			break
		}
	}
	return temp, err
}

// TempDir creates a folder beside path with a temporary name, and returns its path.
func TempDir(path string) (string, error) {
	return temporary(path, func(temp string) error { return Disk.Mkdir(temp) })
}

// Write writes a file completely or not at all: it writes and syncs a temporary file and then
// renames it to path. An existing file is replaced. An existing link is replaced, not its target.
func Write(path string, write func(io.Writer) error) error {
	var file File
	temp, err := temporary(path, func(temp string) (err error) {
		file, err = Disk.Create(temp)
		return err
	})
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err = fill(file, write); err == nil {
		err = Disk.Rename(temp, path)
	}
	if err != nil {
		_ = Disk.Remove(temp)
		return fmt.Errorf("%s: %w", path, err)
	}
	return Disk.SyncDir(filepath.Dir(path))
}

// WriteInto is Write for a file in a temporary folder. It needs no temporary name, and removes the
// file if it cannot be written completely.
func WriteInto(path string, write func(io.Writer) error) error {
	file, err := Disk.Create(path)
	if err != nil {
		return err
	}
	if err = fill(file, write); err != nil {
		_ = Disk.Remove(path)
		err = fmt.Errorf("%s: %w", path, err)
	}
	return err
}

// fill writes, syncs and closes a file.
func fill(file File, write func(io.Writer) error) error {
	b := bufio.NewWriter(file)
	for _, step := range []func() error{func() error { return write(b) }, b.Flush, file.Sync} {
		if err := step(); err != nil {
			_ = file.Close()
			return err
		}
	}
	return file.Close()
}

// MkdirAll creates a folder and its parents, durably.
func MkdirAll(path string) error {
	if info, err := os.Stat(path); err == nil {
		if !info.IsDir() {
			return fmt.Errorf("%s: not a folder", path)
		}
		return nil
	}
	parent := filepath.Dir(path)
	if parent == path {
		return fmt.Errorf("%s: not a folder", path)
	}
	if err := MkdirAll(parent); err != nil {
		return err
	}
	if err := Disk.Mkdir(path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return Disk.SyncDir(parent)
}

// Numbered returns path for n up to 1, else path with "-n" before a final ".toml" or at its end.
func Numbered(path string, n int) string {
	if n <= 1 {
		return path
	}
	base, toml := strings.CutSuffix(path, ".toml")
	if toml {
		return fmt.Sprintf("%s-%d.toml", base, n)
	}
	return fmt.Sprintf("%s-%d", path, n)
}

// most is the size of the largest file that Read reads, in bytes.
const most = 2 << 30

// Read reads a regular file of at most 2 GiB. It refuses a device or a pipe, which may never end.
func Read(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err == nil {
		err = regular(path, info)
	}
	if err == nil && info.Size() > most {
		err = fmt.Errorf("%s: %d bytes: no file of a result is larger than %d", path, info.Size(), int64(most))
	}
	if err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

func regular(path string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s: not a regular file (%v)", path, info.Mode().Type())
	}
	return nil
}

// system is the Layer of the operating system.
type system struct{}

func (system) Create(path string) (File, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
}

func (system) Append(path string, size int64) (File, error) {
	before, err := os.Lstat(path)
	if err == nil {
		err = regular(path, before)
	}
	if err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	after, err := file.Stat()
	if err == nil && !os.SameFile(before, after) {
		err = fmt.Errorf("%s: changed while it was opened", path)
	}
	if err == nil && after.Size() > size {
		err = file.Truncate(size)
	}
	if err == nil {
		_, err = file.Seek(size, io.SeekStart)
	}
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return file, nil
}

func (system) Mkdir(path string) error      { return os.Mkdir(path, 0o755) }
func (system) Rename(from, to string) error { return os.Rename(from, to) }
func (system) Remove(path string) error     { return os.Remove(path) }
func (system) RemoveAll(path string) error  { return os.RemoveAll(path) }
