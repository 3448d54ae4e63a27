package study

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/leasestorm/leasestorm/bench/internal/files"
)

// journal is a file to which a study appends what is finished, a line of JSON each, so that it goes
// on from there. After a line that could not be written whole there is no other.
type journal struct {
	mu     sync.Mutex
	file   files.File
	failed error // a write that did not succeed
}

// openJournal opens a journal, or makes it. each is called for the lines that it has, from 1. What
// a kill has left of a line is cut off.
func openJournal(path string, each func(n int, row []byte) error) (*journal, error) {
	j := &journal{}
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		if j.file, err = files.Disk.Create(path); err != nil {
			return nil, err
		}
		if err = files.Disk.SyncDir(filepath.Dir(path)); err != nil {
			_ = j.file.Close()
			return nil, err
		}
		return j, nil
	}
	text, err := files.Read(path)
	if err != nil {
		return nil, err
	}
	whole := text[:bytes.LastIndexByte(text, '\n')+1]
	n := 0
	for row := range bytes.Lines(whole) {
		n++
		if err := each(n, row); err != nil {
			return nil, err
		}
	}
	j.file, err = files.Disk.Append(path, int64(len(whole)))
	return j, err
}

// append writes v as a line. durable says that the line is to survive the host as well.
func (j *journal) append(v any, durable bool) error {
	row, err := json.Marshal(v)
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.failed == nil {
		_, j.failed = j.file.Write(append(row, '\n'))
	}
	if j.failed == nil && durable {
		j.failed = j.file.Sync()
	}
	return j.failed
}

func (j *journal) close() error { return j.file.Close() }
