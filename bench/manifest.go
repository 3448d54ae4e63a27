package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/leasestorm/leasestorm/bench/host"
	"github.com/leasestorm/leasestorm/bench/internal/files"
	"github.com/leasestorm/leasestorm/bench/record"
)

// ErrFiles is returned, wrapped, together with a complete result whose files could not be
// written.
var ErrFiles = errors.New("the result's files cannot be written")

// ManifestSchema is the version of the manifest's format.
const ManifestSchema = 1

// Manifest describes a finished run, as manifest.json holds it. The run can be repeated from its
// scenario, seed and workers, and its files checked against Files.
type Manifest struct {
	Schema    int             `json:"schema"`
	Started   time.Time       `json:"started"`
	Command   string          `json:"command"` // repeats the run, in a shell in its folder
	Scenario  string          `json:"scenario_toml"`
	Result    *Result         `json:"result"`
	Phases    []record.Phase  `json:"phases"`
	Scan      string          `json:"scan,omitempty"` // lease.ScanForm of the host
	Placement *host.Placement `json:"placement,omitempty"`
	Target    *Service        `json:"target,omitempty"` // of a run against a service that is not ours
	Host      *host.Info      `json:"host,omitempty"`
	Usage     *host.Usage     `json:"usage,omitempty"` // during the run
	Build     *BuildInfo      `json:"build,omitempty"`
	// Services is the distribution of service times, each divided by its calibrated mean. A
	// virtual run has none, nor Scan, Placement, Host, Usage or Build: its files are the same on
	// every host.
	Services []record.Quantile `json:"service_quantiles,omitempty"`
	Files    []record.File     `json:"files"`
}

// BuildInfo identifies the program that made a run.
type BuildInfo struct {
	Go      string `json:"go"`
	Version string `json:"version"`
	Commit  string `json:"commit"`
	Dirty   bool   `json:"dirty"`
}

// ReadBuildInfo reads the BuildInfo of the running binary.
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

// write writes the run's files, commits the folder and sets res.Folder. m holds what a real run
// adds to the manifest. If the folder cannot be completed, the files written so far are kept.
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
		if err := f.Write(runbookFile, record.Text(x.runbook.TOML())); err != nil {
			return err
		}
	}
	if err := x.writeService(f); err != nil {
		return err
	}
	m.Schema, m.Started, m.Command, m.Scenario = ManifestSchema, start, x.command(res.Engine), x.Asked.TOML()
	m.Result, m.Phases, m.Files = res, x.phases, f.Files()
	return f.WriteJSON("manifest.json", m)
}

// ReadManifest reads the manifest of the finished run in dir and verifies the size and checksum
// of each of its files.
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
