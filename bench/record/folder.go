package record

import (
	"context"
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

	"github.com/leasestorm/leasestorm/bench/internal/files"
)

// MapFile has a finished map, in the map's folder: bench/study writes it, bench/plot draws it.
const MapFile = "map-result.json"

// ErrExists is returned, wrapped, if the folder to be written exists already.
var ErrExists = errors.New("exists already; name another folder or move it away")

// ErrInUse is returned, wrapped, for a folder that another process is writing.
var ErrInUse = files.ErrInUse

// Folder is a result folder that is being written. [Create] claims its name. The files are
// written to a temporary folder beside it, which [Folder.Commit] renames. So neither a killed
// process nor a full disk leaves a folder that looks finished.
type Folder struct {
	path  string
	temp  string // "": committed, or kept
	files []File
	claim *files.Lock
}

// File is an entry of a manifest: a file with its size and checksum.
type File struct {
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"` // in hexadecimal
}

// Files returns the files written so far.
func (f *Folder) Files() []File { return slices.Clone(f.files) }

// Path returns the path given to Create and, after Commit, the path at which the folder is.
func (f *Folder) Path() string { return f.path }

// Check verifies size and checksum of the given files in dir. A mismatch wraps [ErrTorn]. Check
// reads only regular files in dir, and no more bytes than their File states. The error is that of
// ctx if the check was interrupted.
func Check(ctx context.Context, dir string, want []File) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }() // only read
	for _, w := range want {
		info, err := root.Stat(w.Name)
		switch path := filepath.Join(dir, w.Name); {
		case err != nil:
			return fmt.Errorf("%s: file %q of the manifest: %w", dir, w.Name, err)
		case !filepath.IsLocal(w.Name) || !info.Mode().IsRegular():
			return fmt.Errorf("%s: file %q of the manifest is not a regular file of this folder", dir, w.Name)
		case info.Size() != w.Bytes:
			return fmt.Errorf("%s: %w: %d bytes, want %d", path, ErrTorn, info.Size(), w.Bytes)
		}
	}
	for _, w := range want {
		if err := checkSum(ctx, root, w); err != nil {
			return fmt.Errorf("%s: %w", filepath.Join(dir, w.Name), err)
		}
	}
	return nil
}

func checkSum(ctx context.Context, root *os.Root, want File) error {
	file, err := root.Open(want.Name)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // only read
	sum := sha256.New()
	for left := want.Bytes; left > 0; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := io.CopyN(sum, file, min(left, 1<<20))
		if left -= n; err != nil && !errors.Is(err, io.EOF) {
			return err
		} else if err != nil {
			break
		}
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != want.SHA256 {
		return fmt.Errorf("%w: checksum %s, want %s", ErrTorn, got, want.SHA256)
	}
	return nil
}

// ErrTorn is returned, wrapped, for a file whose size or checksum differs from its manifest.
var ErrTorn = errors.New("cut off or changed since it was written")

// Create begins a folder that Commit will put at path, and makes path's parents. The error wraps
// [ErrExists] if path exists, and [ErrInUse] if another process has begun a folder there. The
// caller must end the folder by Commit or Abandon.
func Create(path string) (_ *Folder, err error) {
	path = filepath.Clean(path)
	if err := missing(path); err != nil {
		return nil, err
	}
	if err := files.MkdirAll(filepath.Dir(path)); err != nil {
		return nil, err
	}
	f := &Folder{path: path}
	if f.claim, err = files.Take(files.LockOf(path), path); err != nil {
		return nil, err
	}
	if err = missing(path); err == nil { // still
		f.temp, err = files.TempDir(path)
	}
	if err != nil {
		f.claim.Release()
		return nil, err
	}
	return f, nil
}

// missing returns an error if path exists.
func missing(path string) error {
	_, err := os.Lstat(path)
	if err == nil {
		return fmt.Errorf("%s: %w", path, ErrExists)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Write creates a file in the folder, with the content that write writes.
func (f *Folder) Write(name string, write func(io.Writer) error) error {
	sum, n := sha256.New(), counter(0)
	err := files.WriteInto(filepath.Join(f.temp, name), func(w io.Writer) error {
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

// WriteJSON creates a file in the folder, with v as indented JSON.
func (f *Folder) WriteJSON(name string, v any) error { return f.Write(name, JSON(v)) }

// Commit renames the folder to its final path. If that path has come into being in spite of the
// claim, Commit appends a number to the name. Path returns the result.
func (f *Folder) Commit() error {
	err := files.Disk.SyncDir(f.temp)
	for n := 1; err == nil; n++ {
		to := files.Numbered(f.path, n)
		if missing(to) != nil && n < 1000 {
			continue
		}
		if err = files.Disk.Rename(f.temp, to); err == nil {
			f.path, f.temp = to, ""
			break
		}
		if missing(to) != nil && n < 1000 {
			err = nil // to has come into being in the meantime: try the next number
		}
	}
	if err == nil {
		err = files.Disk.SyncDir(filepath.Dir(f.path))
	}
	f.claim.Release()
	return err
}

// Keep saves the files written so far from Abandon, because a measurement cannot be repeated. It
// returns err extended by the temporary folder's name.
func (f *Folder) Keep(err error) error {
	if f.temp != "" && len(f.files) > 0 {
		err = fmt.Errorf("%w; %d files of the result are kept in %s", err, len(f.files), f.temp)
		f.temp = ""
	}
	return err
}

// Abandon removes the files written so far, unless Commit or Keep has succeeded, and gives up the
// claim on the name. It may be deferred.
func (f *Folder) Abandon() {
	if f.temp != "" {
		_ = files.Disk.RemoveAll(f.temp)
	}
	f.claim.Release()
}

// WriteNew is WriteFile, but does not replace an existing file: it appends a number to the name
// instead. It returns the path written.
func WriteNew(path string, write func(io.Writer) error) (string, error) {
	name := path
	for n := 1; n < 1000 && missing(name) != nil; n++ {
		name = files.Numbered(path, n)
	}
	return name, files.Write(name, write)
}

// WriteFile writes a file completely or not at all: it writes and syncs a temporary file and then
// renames it. An existing file is replaced.
func WriteFile(path string, write func(io.Writer) error) error { return files.Write(path, write) }

// JSON returns a function that writes v as indented JSON, for [Folder.Write] and [WriteFile].
func JSON(v any) func(io.Writer) error {
	return func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(v)
	}
}

// Text returns a function that writes text, for [Folder.Write] and [WriteFile].
func Text(text string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	}
}
