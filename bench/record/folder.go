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

// ErrExists is returned, wrapped, when a folder to be written is there already.
var ErrExists = errors.New("exists already; name another folder or move it away")

// ErrInUse is returned, wrapped, for a folder that another process is writing.
var ErrInUse = files.ErrInUse

// Folder is a result folder in the making. Its name is claimed at once. It is written under
// a temporary name beside its place and put there, whole, by Commit: a process that is
// killed and a disk that is full leave nothing that looks finished.
type Folder struct {
	path  string
	temp  string // "": committed, or kept
	files []File
	claim *files.Lock
}

// File is a file of a folder, as its manifest names it.
type File struct {
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// Files are those written so far.
func (f *Folder) Files() []File { return slices.Clone(f.files) }

// Path is where the folder is to stand, and, after Commit, where it stands.
func (f *Folder) Path() string { return f.path }

// Check says whether a folder has these files, whole. It reads regular files of that folder
// only, and no more of them than they are to have.
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

// ErrTorn is returned, wrapped, for a file that is not what its manifest says.
var ErrTorn = errors.New("cut off or changed since it was written")

// Create begins the folder that is to stand at path, whose parents are made. Nobody else
// can begin one there until it is committed or abandoned.
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

// missing is an error if something stands at path.
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

// Write makes a file of the folder.
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

// WriteJSON makes a file of the folder from v.
func (f *Folder) WriteJSON(name string, v any) error { return f.Write(name, JSON(v)) }

// Commit puts the folder in its place. Where somebody has put something else there, in
// spite of the claim, the folder gets a number behind its name: Path tells.
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
			err = nil // it has come in between
		}
	}
	if err == nil {
		err = files.Disk.SyncDir(filepath.Dir(f.path))
	}
	f.claim.Release()
	return err
}

// Keep saves what was written from Abandon, and tells it in the error: what was measured
// cannot be had again.
func (f *Folder) Keep(err error) error {
	if f.temp != "" && len(f.files) > 0 {
		err = fmt.Errorf("%w; %d files of the result are kept in %s", err, len(f.files), f.temp)
		f.temp = ""
	}
	return err
}

// Abandon removes what was written, unless Commit has put it in its place or Keep saved it.
func (f *Folder) Abandon() {
	if f.temp != "" {
		_ = files.Disk.RemoveAll(f.temp)
	}
	f.claim.Release()
}

// WriteNew is WriteFile that replaces nothing: where a file stands by now, the new one gets a
// number in its name. It returns the name.
func WriteNew(path string, write func(io.Writer) error) (string, error) {
	name := path
	for n := 1; n < 1000 && missing(name) != nil; n++ {
		name = files.Numbered(path, n)
	}
	return name, files.Write(name, write)
}

// WriteFile writes a whole file or none: under a temporary name first, then synced and
// renamed. An existing file is replaced.
func WriteFile(path string, write func(io.Writer) error) error { return files.Write(path, write) }

// JSON writes v.
func JSON(v any) func(io.Writer) error {
	return func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(v)
	}
}
