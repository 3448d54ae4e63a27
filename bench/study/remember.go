package study

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"sync"

	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/internal/files"
	"github.com/leasestorm/leasestorm/bench/scenario"
)

// Memory is a Runner that keeps each finished run in a study's folder, and does not make again what
// it has there: so a study that was interrupted goes on where it was. A run that is invalid is made
// again. Runs that leave files of their own are passed on.
type Memory struct {
	bench.Runner
	redo    int
	held    *files.Lock
	path    string
	journal *journal // nil: no folder
	mu      sync.Mutex
	have    map[string]*bench.Result
	kept    map[string]json.RawMessage // of Kept
}

// RunsFile is the name, in a study's folder, of the runs that a Memory has, a line each.
const RunsFile = "runs.jsonl"

// line is a run in RunsFile, or a value of [Kept].
type line struct {
	Key    string          `json:"key"`
	Result *bench.Result   `json:"result,omitempty"`
	Kept   json.RawMessage `json:"kept,omitempty"`
}

// Remember returns a Runner that keeps its runs in the folder dir and makes a run that the host has
// spoilt again up to redo times. The caller calls Close.
func Remember(runner bench.Runner, dir string, redo int) (*Memory, error) {
	m := &Memory{Runner: runner, redo: redo, have: map[string]*bench.Result{}, kept: map[string]json.RawMessage{}}
	if dir == "" {
		return m, nil
	}
	held, err := lock(dir)
	if err != nil {
		return nil, err
	}
	m.held = held
	path := filepath.Join(dir, RunsFile)
	m.path = path
	if m.journal, err = openJournal(path, func(n int, row []byte) error { return m.take(path, n, row) }); err != nil {
		held.Release()
		return nil, err
	}
	return m, nil
}

// take keeps a run that the folder has.
func (m *Memory) take(path string, n int, row []byte) error {
	var l line
	if err := json.Unmarshal(row, &l); err != nil || l.Result == nil && l.Kept == nil {
		return fmt.Errorf("%s:%d: not a run: move the file away, and its runs are made again", path, n)
	}
	if l.Kept != nil {
		m.kept[l.Key] = l.Kept
		return nil
	}
	m.have[l.Key] = l.Result
	return nil
}

// Close ends the writing, and puts the runs in the order of their keys: so the file is the same however
// many runs were made at a time. The folder is free again.
func (m *Memory) Close() error {
	if m.journal == nil {
		return nil
	}
	defer m.held.Release()
	if err := m.journal.close(); err != nil {
		return err
	}
	return files.Write(m.path, func(w io.Writer) error {
		lines := json.NewEncoder(w)
		for _, key := range slices.Sorted(maps.Keys(m.have)) {
			if err := lines.Encode(line{Key: key, Result: m.have[key]}); err != nil {
				return err
			}
		}
		for _, key := range slices.Sorted(maps.Keys(m.kept)) {
			if err := lines.Encode(line{Key: key, Kept: m.kept[key]}); err != nil {
				return err
			}
		}
		return nil
	})
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
	res, err := m.try(ctx, s, o)
	if err != nil || m.journal == nil || o.Folder != "" || !res.Valid {
		return res, err
	}
	res = everywhere(m, res)
	m.mu.Lock()
	m.have[key] = res
	m.mu.Unlock()
	return res, m.journal.append(line{Key: key, Result: res}, false)
}

// everywhere is the result as a study's files have it: without the wall time of a run in virtual time,
// which says something of the host alone.
func everywhere(runner bench.Runner, res *bench.Result) *bench.Result {
	if runner.Alone() {
		return res
	}
	kept := *res
	kept.Elapsed = 0
	return &kept
}

// try makes the run until it is valid, or there are no more tries.
func (m *Memory) try(ctx context.Context, s scenario.Scenario, o bench.Options) (*bench.Result, error) {
	var tries []*bench.Result
	folder := o.Folder
	for try := 0; ; try++ {
		if folder != "" {
			o.Folder = tryFolder(folder, try)
		}
		if asked, ok := ctx.Value(askedKey{}).(*atomic.Int64); ok {
			asked.Inc()
		}
		r, err := m.Runner.Run(ctx, s, o)
		if err != nil {
			return r, err
		}
		if tries = append(tries, r); r.Valid || try >= m.redo {
			return settle(tries), nil
		}
		o.Say("invalid: %s; made again, try %d of %d", r.Because, try+2, m.redo+1)
	}
}

// keyOf is the same for runs that are the same.
func keyOf(s scenario.Scenario, o bench.Options) (string, error) {
	text, err := json.Marshal(struct {
		Scenario string
		Seed     uint64
		Idle     string
		MaxQueue int
		Runbook  *scenario.Runbook
		Target   *bench.Service `json:",omitempty"`
	}{s.TOML(), o.Seed, o.Idle, o.MaxQueue, o.Runbook, o.Target})
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16]), err
}
