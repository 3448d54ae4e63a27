package cluster

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/leasestorm/leasestorm/bench/internal/files"
)

// stateFolder is the folder, in that of a study, of what the coordinator keeps until the study is whole.
const stateFolder = ".cluster"

// state is the folder of what a coordinator keeps, locked, with the study's identity.
type state struct {
	dir, id string
	lock    *files.Lock
	mine    bool // it is in no study's folder, and goes in any case
}

// keepState makes or takes up the state in a study's folder; "": the study has none.
func keepState(folder string) (*state, error) {
	s := &state{}
	if folder == "" {
		dir, err := os.MkdirTemp("", "leasestorm-cluster-")
		if err != nil {
			return nil, err
		}
		s.mine, folder = true, dir
	}
	s.dir = filepath.Join(folder, stateFolder)
	err := os.MkdirAll(s.dir, 0o700)
	if err != nil {
		return nil, err
	}
	if s.lock, err = files.Take(filepath.Join(s.dir, ".lock"), s.dir); err != nil {
		return nil, err
	}
	if err := os.Remove(filepath.Join(s.dir, asideFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.lock.Release()
		return nil, err
	}
	path := filepath.Join(s.dir, "id")
	text, err := os.ReadFile(path)
	if err == nil && len(text) > 0 {
		s.id = string(text)
		return s, nil
	}
	s.id = random()
	if err = files.Write(path, func(w io.Writer) error { _, err := io.WriteString(w, s.id); return err }); err != nil {
		s.lock.Release()
		return nil, err
	}
	return s, nil
}

// asideFile is the name, in the state's folder, of the keys of the cells that were set aside when the study ended.
const asideFile = "set-aside"

// keepAside keeps those keys, a line each, for whoever decides whether the study is worth another start.
func (s *state) keepAside(keys []string) error {
	return files.Write(filepath.Join(s.dir, asideFile), func(w io.Writer) error {
		_, err := io.WriteString(w, strings.Join(keys, "\n")+"\n")
		return err
	})
}

// end frees the state. whole says that nobody will go on with the study.
func (s *state) end(whole bool) error {
	s.lock.Release()
	switch {
	case s.mine:
		return os.RemoveAll(filepath.Dir(s.dir))
	case whole:
		return s.forget()
	}
	return nil
}

// forget removes the state but for the class of the study's hosts, if there is one: --resume makes invalid runs
// of a study that is whole again.
func (s *state) forget() error {
	entries, err := os.ReadDir(s.dir)
	classes := 0
	for _, e := range entries {
		if e.Name() == classFile {
			classes++
			continue
		}
		err = errors.Join(err, os.RemoveAll(filepath.Join(s.dir, e.Name())))
	}
	if classes > 0 || err != nil {
		return err
	}
	return os.Remove(s.dir)
}
