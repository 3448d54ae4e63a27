package study

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/internal/files"
	"github.com/leasestorm/leasestorm/bench/scenario"
)

// Memory is a Runner that keeps each finished run in a study's folder, and does not make again what
// it has there: so a study that was interrupted goes on where it was. A run that is invalid is made
// again. Runs that leave files of their own are passed on.
type Memory struct {
	bench.Runner
	redo int
	held *files.Lock
	mu   sync.Mutex
	have map[string]*bench.Result
	file files.File
}

// RunsFile is the name, in a study's folder, of the runs that a Memory has, a line each.
const RunsFile = "runs.jsonl"

// line is a run in RunsFile.
type line struct {
	Key    string        `json:"key"`
	Result *bench.Result `json:"result"`
}

// Remember returns a Runner that keeps its runs in the folder dir and makes a run that the host has
// spoilt again up to redo times. The caller calls Close.
func Remember(runner bench.Runner, dir string, redo int) (*Memory, error) {
	m := &Memory{Runner: runner, redo: redo, have: map[string]*bench.Result{}}
	if dir == "" {
		return m, nil
	}
	held, err := lock(dir)
	if err != nil {
		return nil, err
	}
	m.held = held
	path := filepath.Join(dir, RunsFile)
	if err := m.open(path); err != nil {
		held.Release()
		return nil, err
	}
	return m, nil
}

func (m *Memory) open(path string) (err error) {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		m.file, err = files.Disk.Create(path)
		return err
	}
	text, err := files.Read(path)
	if err != nil {
		return err
	}
	whole := text[:bytes.LastIndexByte(text, '\n')+1] // a kill may have left a part of a line
	n := 0
	for row := range bytes.Lines(whole) {
		n++
		var l line
		if err := json.Unmarshal(row, &l); err != nil || l.Result == nil {
			return fmt.Errorf("%s:%d: not a run: move the file away, and its runs are made again", path, n)
		}
		m.have[l.Key] = l.Result
	}
	m.file, err = files.Disk.Append(path, int64(len(whole)))
	return err
}

// Close ends the writing. The folder is free again.
func (m *Memory) Close() error {
	if m.file == nil {
		return nil
	}
	defer m.held.Release()
	return m.file.Close()
}

// Run implements bench.Runner.
func (m *Memory) Run(ctx context.Context, s scenario.Scenario, o bench.Options) (*bench.Result, error) {
	key, err := keyOf(s, o)
	if err != nil {
		return nil, err
	}
	if o.Folder == "" {
		m.mu.Lock()
		r := m.have[key]
		m.mu.Unlock()
		if r != nil {
			return r, nil
		}
	}
	folder := o.Folder
	var res *bench.Result
	for try := 0; ; try++ {
		if try > 0 && folder != "" {
			o.Folder = fmt.Sprintf("%s-try%d", folder, try+1)
		}
		r, err := m.Runner.Run(ctx, s, o)
		if err != nil {
			return r, err
		}
		if res != nil {
			r.Spoilt = append(res.Spoilt, res.Because)
			r.Tries = try + 1
		}
		if res = r; r.Valid || try >= m.redo {
			break
		}
		o.Say("invalid: %s; made again, try %d of %d", r.Because, try+2, m.redo+1)
	}
	if m.file == nil || folder != "" || !res.Valid {
		return res, nil
	}
	text, err := json.Marshal(line{key, res})
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.have[key] = res
	_, err = m.file.Write(append(text, '\n'))
	return res, err
}

// keyOf is the same for runs that are the same.
func keyOf(s scenario.Scenario, o bench.Options) (string, error) {
	text, err := json.Marshal(struct {
		Scenario string
		Seed     uint64
		Idle     string
		MaxQueue int
		Runbook  *scenario.Runbook
	}{s.TOML(), o.Seed, o.Idle, o.MaxQueue, o.Runbook})
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16]), err
}
