package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/leasestorm/leasestorm/bench/host"
	"github.com/leasestorm/leasestorm/bench/internal/files"
	"github.com/leasestorm/leasestorm/bench/record"
)

// ErrFiles is returned, wrapped, beside a result whose files could not be written.
var ErrFiles = errors.New("the result's files cannot be written")

// ManifestSchema is the version of the manifest's shape.
const ManifestSchema = 1

// Manifest is what makes a run checkable: from its scenario, seed and workers it can be
// made again.
type Manifest struct {
	Schema    int             `json:"schema"`
	Started   time.Time       `json:"started"`
	Command   string          `json:"command"` // that makes the run again, for a shell in its folder
	Scenario  string          `json:"scenario_toml"`
	Result    *Result         `json:"result"`
	Phases    []record.Phase  `json:"phases"`
	Scan      string          `json:"scan,omitempty"` // the form in which lock-free tables look for lapsed leases
	Placement *host.Placement `json:"placement,omitempty"`
	Host      *host.Info      `json:"host,omitempty"`  // nil of a virtual run, as all that is not the same everywhere
	Usage     *host.Usage     `json:"usage,omitempty"` // in the run
	Build     *BuildInfo      `json:"build,omitempty"`
	// Services is the distribution of service times over what was calibrated.
	Services []record.Quantile `json:"service_quantiles,omitempty"`
	Files    []record.File     `json:"files"`
}

// BuildInfo is what ran.
type BuildInfo struct {
	Go      string `json:"go"`
	Version string `json:"version"`
	Commit  string `json:"commit"`
	Dirty   bool   `json:"dirty"`
}

// ReadBuildInfo reads it from the binary itself.
func ReadBuildInfo() BuildInfo {
	b := BuildInfo{Go: runtime.Version(), Version: "unknown", Commit: "unknown"}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	b.Version = info.Main.Version
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.modified":
			b.Dirty = s.Value == "true"
		}
	}
	return b
}

// write makes the run's folder and says where it stands: what run and host add to the
// manifest, nil of a virtual run. What cannot be finished is kept.
func (x *experiment) write(log *record.Log, res *Result, start time.Time, m Manifest) error {
	f := x.folder
	err := x.fill(f, log, res, start, m)
	if err == nil {
		err = f.Commit()
	}
	if err != nil {
		res.Folder = ""
		return fmt.Errorf("%w: %w", ErrFiles, f.Keep(err))
	}
	if res.Folder = f.Path(); res.Folder != x.how.Folder {
		x.how.Say("%s exists by now: the run is in %s", x.how.Folder, res.Folder)
	}
	return nil
}

func (x *experiment) fill(f *record.Folder, log *record.Log, res *Result, start time.Time, m Manifest) error {
	if err := log.WriteFiles(f, start); err != nil {
		return err
	}
	if x.runbook != nil {
		write := func(w io.Writer) error { _, err := io.WriteString(w, x.runbook.TOML()); return err }
		if err := f.Write(runbookFile, write); err != nil {
			return err
		}
	}
	m.Schema, m.Started, m.Command, m.Scenario = ManifestSchema, start, x.command(res.Engine), x.Asked.TOML()
	m.Result, m.Phases, m.Files = res, x.phases, f.Files()
	return f.WriteJSON("manifest.json", m)
}

// ReadManifest reads a finished run and checks that its files are whole.
func ReadManifest(ctx context.Context, dir string) (m Manifest, err error) {
	path := filepath.Join(dir, "manifest.json")
	text, err := files.Read(path)
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return m, fmt.Errorf("%s: not a manifest: %w", path, err)
	}
	if m.Schema != ManifestSchema || m.Result == nil {
		return m, fmt.Errorf("%s: schema %d, and this program reads %d, with a result", path, m.Schema, ManifestSchema)
	}
	return m, record.Check(ctx, dir, m.Files)
}
