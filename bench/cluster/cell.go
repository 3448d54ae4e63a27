// Package cluster makes the runs of a study on many hosts. A coordinator, which is the study's own process,
// puts each run as a cell into a work queue of NATS JetStream. Workers take the cells, run them, and store
// their files. A cell whose worker dies, hangs or loses its network goes to another worker.
//
// A storm can have its droplets split over agents: each plays a range, and the coordinator puts together what
// they measured.
package cluster

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/record"
	"github.com/leasestorm/leasestorm/bench/scenario"
	"github.com/leasestorm/leasestorm/bench/study"
)

// cell is a run, or a study.Task, as it is asked of a worker. It names no file and no command.
type cell struct {
	Task     string            `json:"task,omitempty"` // of that name, and nothing else but Input; "": a run
	Input    json.RawMessage   `json:"input,omitempty"`
	Engine   string            `json:"engine"`
	Scenario string            `json:"scenario_toml"`
	Seed     uint64            `json:"seed"`
	MaxQueue int               `json:"max_queue,omitempty"`
	Idle     string            `json:"idle,omitempty"`    // of the real engine, as in bench.Options
	Wait     time.Duration     `json:"wait_ns,omitempty"` // likewise
	Runbook  *scenario.Runbook `json:"runbook,omitempty"`
	Files    bool              `json:"files,omitempty"` // whether the run's files are wanted beside its result
}

// realEngine is the name of the engine whose runs measure their host.
var realEngine = bench.Real{}.Name()

// errCell is returned, wrapped, for a cell that no worker runs.
var errCell = errors.New("no worker runs this cell")

// newCell is the cell of a run.
func newCell(engine string, s scenario.Scenario, o bench.Options) (cell, error) {
	c := cell{Engine: engine, Scenario: s.TOML(), Seed: bench.DrawSeed(o.Seed), MaxQueue: o.MaxQueue, Runbook: o.Runbook, Files: o.Folder != ""}
	if engine == realEngine {
		c.Idle, c.Wait = o.Idle, o.Wait
	}
	if o.Target != nil || o.Part != nil {
		return c, fmt.Errorf("%w: it asks a service, or is a part of a replay; leave out --cluster", errCell)
	}
	_, err := c.check()
	return c, err
}

// check returns the cell's scenario, or an error for what a worker must not do because a stranger asks for
// it: run a command or another process, read a file, or load a service.
func (c *cell) check() (s scenario.Scenario, err error) {
	if c.Task != "" {
		return s, nil // it has no such thing to ask for
	}
	if c.Engine != (bench.Virtual{}).Name() && c.Engine != realEngine {
		return s, fmt.Errorf("%w: engine %q: want virtual or real", errCell, c.Engine)
	}
	if c.Wait < 0 || c.Wait > time.Hour {
		return s, fmt.Errorf("%w: a wait of %v for a quiet host: want 0 to 1h", errCell, c.Wait)
	}
	if s, err = scenario.Parse("cell", []byte(c.Scenario)); err != nil {
		return s, fmt.Errorf("%w: %w", errCell, err)
	}
	if bench.TableReadsClock(s.Table) {
		return s, fmt.Errorf("%w: the table %q is another process's", errCell, s.Table)
	}
	if strings.HasPrefix(s.ServiceLaw, scenario.MeasuredServices) {
		return s, fmt.Errorf("%w: service_law %q names a folder: want fixed, exponential or lognormal", errCell, s.ServiceLaw)
	}
	if c.Runbook != nil {
		if err := c.Runbook.Check("cell"); err != nil {
			return s, fmt.Errorf("%w: %w", errCell, err)
		}
		for i, step := range c.Runbook.Steps {
			if step.Do == "exec" {
				return s, fmt.Errorf("%w: step %d of the runbook runs a command: take the exec steps out", errCell, i+1)
			}
		}
	}
	return s, nil
}

// key is the same for cells that are the same, asked by programs that are the same. It is what a cell, its
// place in the queue and its outcome are called.
func (c *cell) key() (key string, text []byte) {
	text, err := json.Marshal(c)
	if err != nil {
		panic(err) // strings and numbers
	}
	sum := sha256.Sum256(append([]byte(buildID()+"\n"), text...))
	return hex.EncodeToString(sum[:16]), text
}

// buildID is the same for programs of the same version, which give a cell the same result. connect has
// checked that there is one.
func buildID() string {
	id, _ := readBuildID()
	return id
}

// readBuildID reads the program's own file if its version does not identify it.
var readBuildID = sync.OnceValues(func() (string, error) {
	return identify(bench.ReadBuildInfo(), func() (io.ReadCloser, error) {
		if f, err := os.Open("/proc/self/exe"); err == nil {
			return f, nil // even if another file has its name by now
		}
		path, err := os.Executable()
		if err != nil {
			return nil, err
		}
		return os.Open(path)
	})
})

// identify hashes a program's version. A version without a commit, or with changes to one, is that of many
// programs: then the program itself is hashed as well.
func identify(b bench.BuildInfo, program func() (io.ReadCloser, error)) (id string, err error) {
	text, err := json.Marshal(b)
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	sum.Write(text)
	if b.Dirty || b.Commit == "" || b.Commit == "unknown" {
		f, err := program()
		if err == nil {
			_, err = io.Copy(sum, f)
			err = errors.Join(err, f.Close())
		}
		if err != nil {
			return "", fmt.Errorf("this program names no commit, and its own file cannot be read to identify it: %w: build it from a commit without changes", err)
		}
	}
	return hex.EncodeToString(sum.Sum(nil)[:6]), nil
}

// outcome is what a cell came to, and the first part of what a worker stores.
type outcome struct {
	Result *bench.Result   `json:"result,omitempty"`
	Output json.RawMessage `json:"output,omitempty"` // of a task
	Error  string          `json:"error,omitempty"`
	Kind   string          `json:"kind,omitempty"` // of the error
	Worker string          `json:"worker"`
	Took   time.Duration   `json:"took_ns"` // to make it, on the worker's host
}

// kinds are the errors that a study tells apart. An error that is of two is of the first. But for aside they
// are properties of the cell: every worker would meet them.
var kinds = []struct {
	name string
	is   error
}{
	{aside, study.ErrSetAside}, {"cell", errCell}, {"task", study.ErrTask}, {"scenario", scenario.ErrScenario}, {"accounting", bench.ErrAccounting},
}

// ofCell reports whether an error of a run is a property of the cell. Any other says something of the host,
// such as a full disk or little memory, and another host may run the cell.
func ofCell(err error) bool {
	return errors.Is(err, errCell) || errors.Is(err, study.ErrTask) || scenario.Refused(err) || errors.Is(err, bench.ErrAccounting)
}

// aside is the kind of a cell that was set aside.
const aside = "aside"

// remoteError is an error of another process.
type remoteError struct {
	text string
	kind error
}

func (e *remoteError) Error() string { return e.text }
func (e *remoteError) Unwrap() error { return e.kind }

// err is the error that the worker met.
func (o *outcome) err() error {
	if o.Error == "" {
		return nil
	}
	e := &remoteError{text: o.Error}
	for _, k := range kinds {
		if k.name == o.Kind {
			e.kind = k.is
		}
	}
	return e
}

// failed is the outcome of an error.
func failed(err error) outcome {
	o := outcome{Error: err.Error()}
	for _, k := range kinds {
		if errors.Is(err, k.is) {
			o.Kind = k.name
			break
		}
	}
	if o.Kind == "" && scenario.Refused(err) {
		o.Kind = "scenario"
	}
	return o
}

// outcomeFile is the name of the outcome among the files of a cell.
const outcomeFile = "outcome"

// pack puts an outcome and the files in a folder ("": none) together.
func pack(o outcome, folder string) ([]byte, error) {
	head, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	compressed, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	out := tar.NewWriter(compressed)
	add := func(name string, text []byte) error {
		if err := out.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text))}); err != nil {
			return err
		}
		_, err := out.Write(text)
		return err
	}
	if err := add(outcomeFile, head); err != nil {
		return nil, err
	}
	if folder != "" {
		entries, err := os.ReadDir(folder)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if e.Type() != fs.FileMode(0) {
				return nil, fmt.Errorf("%s: %s is not a plain file", folder, e.Name())
			}
			text, err := os.ReadFile(filepath.Join(folder, e.Name()))
			if err == nil {
				err = add(e.Name(), text)
			}
			if err != nil {
				return nil, err
			}
		}
	}
	if err := errors.Join(out.Close(), compressed.Close()); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// mostBytes is the largest size of a cell's files.
const mostBytes = 1 << 30

// unpack takes apart what pack has put together, and makes the folder for the files, if one is named.
// What it reads was written by another host: no name leads out of the folder.
func unpack(packed []byte, folder string) (o outcome, err error) {
	compressed, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return o, err
	}
	in := tar.NewReader(io.LimitReader(compressed, mostBytes))
	head, err := in.Next()
	if err != nil {
		return o, fmt.Errorf("not a cell's outcome: %w", err)
	}
	if head.Name != outcomeFile {
		return o, fmt.Errorf("not a cell's outcome: the first file is %q, want %q", head.Name, outcomeFile)
	}
	if err := json.NewDecoder(in).Decode(&o); err != nil {
		return o, err
	}
	if folder == "" || o.Result == nil {
		return o, nil
	}
	f, err := record.Create(folder)
	if err != nil {
		return o, err
	}
	defer f.Abandon()
	for {
		head, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return o, err
		}
		if filepath.Base(head.Name) != head.Name || !filepath.IsLocal(head.Name) || head.Typeflag != tar.TypeReg {
			return o, fmt.Errorf("%q is no name of a run's file", head.Name)
		}
		if err := f.Write(head.Name, func(w io.Writer) error {
			_, err := io.Copy(w, in)
			return err
		}); err != nil {
			return o, err
		}
	}
	if err := f.Commit(); err != nil {
		return o, err
	}
	o.Result.Folder = f.Path()
	return o, nil
}
