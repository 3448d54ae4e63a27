package bench

import (
	"os"
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
	Host      HostInfo        `json:"host"`
	Build     BuildInfo       `json:"build"`
	Files     []record.File   `json:"files"`
}

// HostInfo is where the run was.
type HostInfo struct {
	Name    string     `json:"name"`
	OS      string     `json:"os"`
	Arch    string     `json:"arch"`
	CPUs    []host.CPU `json:"cpus"`
	Guessed string     `json:"topology_guessed,omitempty"`
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
func (x *experiment) write(f *record.Folder, log *record.Log, res *Result, run engine.RealResult, t host.Topology, p host.Placement) error {
	if err := log.WriteFiles(f, run.Start); err != nil {
		return err
	}
	name, err := os.Hostname()
	if err != nil {
		name = "unknown"
	}
	if err := f.WriteJSON("manifest.json", Manifest{
		Schema: ManifestSchema, Started: run.Start, Command: x.command(), Scenario: x.asked.TOML(), Result: res, Phases: x.phases, Placement: &p,
		Host:  HostInfo{Name: name, OS: runtime.GOOS, Arch: runtime.GOARCH, CPUs: t.CPUs, Guessed: t.Guessed},
		Build: ReadBuildInfo(), Files: f.Files(),
	}); err != nil {
		return err
	}
	return f.Commit()
}
