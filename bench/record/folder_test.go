package record

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leasestorm/leasestorm/bench/internal/files/filestest"
)

func hello(w io.Writer) error { _, err := io.WriteString(w, "hello"); return err }

// A name is claimed at the start: nobody measures for a folder that another will have.
func TestFolderIsClaimed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "results", "run")
	a, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Create(path); !errors.Is(err, ErrInUse) {
		t.Errorf("a folder in the making: %v", err)
	}
	full := errors.New("no space left on device")
	if err := a.Write("x", func(io.Writer) error { return full }); !errors.Is(err, full) {
		t.Errorf("a write that fails: %v", err)
	}
	if left, _ := os.ReadDir(a.temp); len(left) != 0 {
		t.Errorf("a write that failed left %v", left)
	}
	a.Abandon()
	b, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Commit(); err != nil || b.Path() != path {
		t.Fatal(err)
	}
	b.Abandon()
	if _, err := Create(path); !errors.Is(err, ErrExists) {
		t.Errorf("a folder that exists: %v", err)
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
		t.Errorf("left: %v", left)
	}
}

// What was measured stays, whatever stands at its place by then.
func TestCommitKeeps(t *testing.T) {
	for name, put := range map[string]func(path string) error{
		"a file":   func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"a folder": func(path string) error { return os.MkdirAll(filepath.Join(path, "full"), 0o700) },
		"a link":   func(path string) error { return os.Symlink("nowhere", path) },
	} {
		path := filepath.Join(t.TempDir(), "run")
		f, err := Create(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(f.Write("x", hello), put(path)); err != nil {
			t.Skip(err)
		}
		err = f.Commit()
		f.Abandon()
		if err != nil || f.Path() != path+"-2" || Check(t.Context(), f.Path(), f.Files()) != nil {
			t.Errorf("%s stands there: %v, the folder is at %s", name, err, f.Path())
		}
	}
}

// Whatever call fails, the folder is whole at its place, or not there and kept beside it.
func TestFolderFails(t *testing.T) {
	var path string
	var f *Folder
	filestest.EachCall(t, func(t *testing.T) (err error) {
		path = filepath.Join(t.TempDir(), "a", "run")
		if f, err = Create(path); err != nil {
			return err
		}
		defer f.Abandon()
		if err = errors.Join(f.Write("one", hello), f.Write("two", hello)); err == nil {
			err = f.Commit()
		}
		if err != nil {
			return f.Keep(err)
		}
		return nil
	}, func(t *testing.T, err error) {
		if !errors.Is(err, filestest.ErrBroken) {
			t.Errorf("the error is lost: %v", err)
		}
		if _, gone := os.Lstat(path); gone == nil {
			if err := Check(t.Context(), path, f.Files()); err != nil || len(f.Files()) != 2 {
				t.Errorf("at its place, and %v", err)
			}
			return
		}
		if f == nil || len(f.Files()) == 0 {
			return
		}
		_, kept, said := strings.Cut(err.Error(), "are kept in ")
		if err := Check(t.Context(), strings.Split(kept, "\n")[0], f.Files()); !said || err != nil {
			t.Errorf("%d files are not kept: %v", len(f.Files()), err)
		}
	})
}

// A manifest is somebody's file: it names regular files of its folder, of the size it says.
func TestCheckRefuses(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"dir/good": "hello", "secret": "hello"} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	dir = filepath.Join(dir, "dir")
	_ = os.Symlink("../secret", filepath.Join(dir, "link"))
	sum := "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
	if err := Check(t.Context(), dir, []File{{"good", 5, sum}}); err != nil {
		t.Error(err)
	}
	for _, f := range []File{
		{"../secret", 5, sum}, {"../../../../../../../../dev/zero", 0, sum}, {filepath.Join(dir, "good"), 5, sum},
		{".", 5, sum}, {"", 5, sum}, {"link", 5, sum}, {"nosuch", 5, sum},
	} {
		if err := Check(t.Context(), dir, []File{f}); err == nil || errors.Is(err, ErrTorn) {
			t.Errorf("%q: %v; want a refusal", f.Name, err)
		}
	}
	for _, f := range []File{{"good", 4, sum}, {"good", 1 << 60, sum}, {"good", -1, sum}, {"good", 5, ""}} {
		if err := Check(t.Context(), dir, []File{f}); !errors.Is(err, ErrTorn) {
			t.Errorf("%+v: %v", f, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Check(ctx, dir, []File{{"good", 5, sum}}); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}
