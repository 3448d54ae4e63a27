package bench

import (
	"runtime"
	"runtime/debug"
	"time"

	"github.com/leasestorm/leasestorm/bench/engine"
	"github.com/leasestorm/leasestorm/bench/host"
	"github.com/leasestorm/leasestorm/bench/record"
)

// ManifestSchema is the version of the manifest's shape.
const ManifestSchema = 1

// Manifest is what makes a run checkable: from its scenario, seed and workers it can be
// made again.
type Manifest struct {
	Schema    int             `json:"schema"`
	Started   time.Time       `json:"started"`
	Command   string          `json:"command"` // that makes the run again
	Scenario  string          `json:"scenario_toml"`
	Result    *Result         `json:"result"`
	Phases    []record.Phase  `json:"phases"`
	Placement *host.Placement `json:"placement,omitempty"`
	Host      host.Info       `json:"host"`
	Usage     host.Usage      `json:"usage"` // in the run
	Build     BuildInfo       `json:"build"`
	Files     []record.File   `json:"files"`
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

// write makes the run's folder.
func (x *experiment) write(f *record.Folder, log *record.Log, res *Result, run engine.RealResult, p host.Placement) error {
	if err := log.WriteFiles(f, run.Start); err != nil {
		return err
	}
	if err := f.WriteJSON("manifest.json", Manifest{
		Schema: ManifestSchema, Started: run.Start, Command: x.command(), Scenario: x.asked.TOML(), Result: res, Phases: x.phases, Placement: &p,
		Host: host.ReadInfo(), Usage: run.Usage,
		Build: ReadBuildInfo(), Files: f.Files(),
	}); err != nil {
		return err
	}
	return f.Commit()
}
