package files_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leasestorm/leasestorm/bench/internal/files"
	"github.com/leasestorm/leasestorm/bench/internal/files/filestest"
)

func text(s string) func(io.Writer) error {
	return func(w io.Writer) error { _, err := io.WriteString(w, s); return err }
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Whatever call fails, the old file stands or the new one, whole.
func TestWriteFails(t *testing.T) {
	old, now := strings.Repeat("old", 5000), strings.Repeat("new", 5000)
	path := filepath.Join(t.TempDir(), "file")
	filestest.EachCall(t, func(t *testing.T) error {
		if err := os.WriteFile(path, []byte(old), 0o600); err != nil {
			t.Fatal(err)
		}
		return files.Write(path, text(now))
	}, func(t *testing.T, err error) {
		if got := read(t, path); got != old && got != now || got == old && err == nil {
			t.Errorf("%v: %d bytes, neither the old file nor the new one", err, len(got))
		}
		if !errors.Is(err, filestest.ErrBroken) {
			t.Errorf("the error is lost: %v", err)
		}
	})
}

// A link is replaced, and what it leads to stays as it is; temporary names are new.
func TestLinksAreNotFollowed(t *testing.T) {
	dir := t.TempDir()
	elsewhere, link := filepath.Join(dir, "elsewhere"), filepath.Join(dir, "link")
	for _, write := range []func() error{
		func() error { return files.Write(link, text("x")) },
		func() error { _, err := files.Disk.Create(link); return err },
		func() error { _, err := files.Disk.Append(link, 0); return err },
		func() error { _, err := files.Take(link, "dir"); return err },
	} {
		_ = os.Remove(link)
		if err := errors.Join(os.WriteFile(elsewhere, []byte("kept"), 0o600), os.Symlink(elsewhere, link)); err != nil {
			t.Skip(err) // a system without links
		}
		err := write()
		if got := read(t, elsewhere); got != "kept" {
			t.Errorf("%v: a file elsewhere is now %q", err, got)
		}
		if info, lerr := os.Lstat(link); lerr != nil || err == nil && info.Mode()&fs.ModeSymlink != 0 {
			t.Errorf("written, and still a link: %v", lerr)
		}
	}
}

// A lock is had once, names its owner, and can be had again.
func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), ".x.lock")
	for range 3 {
		l, err := files.Take(path, "DIR")
		if err != nil {
			t.Fatal(err)
		}
		_, err = files.Take(path, "DIR")
		if !errors.Is(err, files.ErrInUse) || !strings.Contains(err.Error(), "DIR: in use by process ") {
			t.Errorf("taken twice: %v", err)
		}
		l.Release()
		l.Release()
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestReadRefuses(t *testing.T) {
	for _, path := range []string{os.DevNull, t.TempDir()} {
		if _, err := files.Read(path); err == nil || !strings.Contains(err.Error(), "not a regular file") {
			t.Errorf("%s: %v", path, err)
		}
	}
}
