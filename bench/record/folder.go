package record

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// ErrExists is returned, wrapped, when a folder to be written is there already.
var ErrExists = errors.New("exists already; name another folder or move it away")

// Folder is a result folder in the making. It is written under a temporary name
// beside its place and put there, whole, by Commit: a process that is killed and
// a disk that is full leave nothing that looks finished.
type Folder struct {
	path  string
	temp  string
	files []File
}

// File is a file of a folder, as its manifest names it.
type File struct {
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// Files are those written so far.
func (f *Folder) Files() []File { return slices.Clone(f.files) }

// Check says whether a folder has these files, whole.
func Check(dir string, files []File) error {
	for _, want := range files {
		path := filepath.Join(dir, want.Name)
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		sum := sha256.New()
		n, err := io.Copy(sum, file)
		_ = file.Close() // only read
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if n != want.Bytes || hex.EncodeToString(sum.Sum(nil)) != want.SHA256 {
			return fmt.Errorf("%s: %w: %d bytes, want %d with checksum %s", path, ErrTorn, n, want.Bytes, want.SHA256)
		}
	}
	return nil
}

// ErrTorn is returned, wrapped, for a file that is not what its manifest says.
var ErrTorn = errors.New("cut off or changed since it was written")

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
	sum, n := sha256.New(), counter(0)
	err := WriteFile(filepath.Join(f.temp, name), func(w io.Writer) error {
		return write(io.MultiWriter(w, sum, &n))
	})
	if err == nil {
		f.files = append(f.files, File{Name: name, Bytes: int64(n), SHA256: hex.EncodeToString(sum.Sum(nil))})
	}
	return err
}

// counter counts the bytes written to it.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// WriteJSON makes a file of the folder from v.
func (f *Folder) WriteJSON(name string, v any) error { return f.Write(name, JSON(v)) }

// Commit puts the folder in its place.
func (f *Folder) Commit() error {
	if _, err := os.Lstat(f.path); err == nil {
		return fmt.Errorf("%s: %w", f.path, ErrExists)
	}
	if err := syncDir(f.temp); err != nil {
		return err
	}
	if err := os.Rename(f.temp, f.path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(f.path))
}

// syncDir makes names in a folder last.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	err = d.Sync()
	return errors.Join(err, d.Close())
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

// JSON writes v.
func JSON(v any) func(io.Writer) error {
	return func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(v)
	}
}
