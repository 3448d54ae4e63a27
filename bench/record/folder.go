package record

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// ErrExists is returned, wrapped, when a folder to be written is there already.
var ErrExists = errors.New("exists already; name another folder or move it away")

// Folder is a result folder in the making. It is written under a temporary name
// beside its place and put there, whole, by Commit: a process that is killed and
// a disk that is full leave nothing that looks finished.
type Folder struct {
	path string
	temp string
}

// Create begins the folder that is to stand at path, whose parents are made.
func Create(path string) (*Folder, error) {
	path = filepath.Clean(path)
	if _, err := os.Lstat(path); err == nil {
		return nil, fmt.Errorf("%s: %w", path, ErrExists)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	temp, err := os.MkdirTemp(filepath.Dir(path), "."+filepath.Base(path)+".unfinished-")
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(temp, 0o755); err != nil {
		return nil, err
	}
	return &Folder{path: path, temp: temp}, nil
}

// Write makes a file of the folder.
func (f *Folder) Write(name string, write func(io.Writer) error) error {
	return WriteFile(filepath.Join(f.temp, name), write)
}

// WriteJSON makes a file of the folder from v.
func (f *Folder) WriteJSON(name string, v any) error {
	return f.Write(name, func(w io.Writer) error { return encode(w, v) })
}

// Commit puts the folder in its place.
func (f *Folder) Commit() error {
	if _, err := os.Lstat(f.path); err == nil {
		return fmt.Errorf("%s: %w", f.path, ErrExists)
	}
	return os.Rename(f.temp, f.path)
}

// Abandon removes what was written, unless Commit has put it in its place.
func (f *Folder) Abandon() { _ = os.RemoveAll(f.temp) }

// WriteFile writes a whole file or none: under a temporary name first, then
// synced and renamed. An existing file is replaced.
func WriteFile(path string, write func(io.Writer) error) (err error) {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".unfinished-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(file.Name())
			err = fmt.Errorf("%s: %w", path, err)
		}
	}()
	b := bufio.NewWriter(file)
	for _, step := range []func() error{
		func() error { return write(b) }, b.Flush, file.Sync,
		func() error { return file.Chmod(0o644) },
	} {
		if err = step(); err != nil {
			_ = file.Close()
			return err
		}
	}
	if err = file.Close(); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}

// WriteJSON replaces a file by v as JSON, whole or not at all.
func WriteJSON(path string, v any) error {
	return WriteFile(path, func(w io.Writer) error { return encode(w, v) })
}

func encode(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
