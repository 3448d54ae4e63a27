// Package archivetest makes result folders for tests, without running anything.
package archivetest

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// Run is a run as its files have it. Empty fields have values of a surge that came back.
type Run struct {
	Seed   uint64
	Result map[string]any    // fields of the result that differ
	Keys   map[string]string // keys of the scenario that differ, as TOML has them
	Host   map[string]any
	Series string // series.csv; empty: none
}

// Manifest is the run's manifest.json.
func (r Run) Manifest(t testing.TB) []byte {
	t.Helper()
	result := map[string]any{
		"scenario": "surge", "table": "lockfree", "queue": "deadline", "admit": "none", "retry": "immediate", "engine": "real",
		"leases": 1000, "broken": 100, "workers": 1, "seed": r.Seed, "verdict": "recovered", "valid": true, "ttr_s": 2.0,
		"efficiency": 0.8, "capacity_per_s": 500, "goodput_per_s": map[string]float64{"establish": 60}, "wasted_work": 0.01,
		"service_us": map[string]float64{"establish": 2000, "check": 500},
	}
	maps.Copy(result, r.Result)
	keys := map[string]string{"name": `"surge"`, "timeout": `"1s"`, "slow": "0", "queue": `"deadline"`}
	maps.Copy(keys, r.Keys)
	toml := ""
	for k, v := range keys {
		toml += k + " = " + v + "\n"
	}
	host := map[string]any{"name": "h", "cpu": "a processor", "cores": 2, "os": "linux", "arch": "amd64"}
	maps.Copy(host, r.Host)
	text, err := json.Marshal(map[string]any{
		"schema": 1, "started": "2026-11-26T12:00:00Z", "scenario_toml": toml, "result": result, "host": host,
		"phases": []map[string]any{{"name": "steady", "start_ns": 0}, {"name": "outage", "start_ns": int64(1e9)}, {"name": "return", "start_ns": int64(2e9)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Write writes the run's folder.
func (r Run) Write(t testing.TB, folder string) {
	t.Helper()
	err := os.MkdirAll(folder, 0o700)
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, "manifest.json"), r.Manifest(t), 0o600)
	}
	if err == nil && r.Series != "" {
		err = os.WriteFile(filepath.Join(folder, "series.csv"), []byte(r.Series), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Noise is how runs of one thing differ: in per cent of each of the figures.
const Noise = 0.02

// Suite makes n runs of each of three contestants, by folder, with measured noise drawn by seed. A
// slow contestant takes so much longer: 0.1 is a tenth.
func Suite(n int, seed uint64, slow map[string]float64) map[string]Run {
	rng := rand.New(rand.NewPCG(seed, 1))
	draw := func(x float64) float64 { return x * (1 + Noise*(rng.Float64()+rng.Float64()+rng.Float64()-1.5)*2) }
	all := map[string]Run{}
	for _, queue := range []string{"deadline", "lifo", "codel"} {
		for i := range n {
			ttr := draw(2.5 * (1 + slow[queue]))
			all[fmt.Sprintf("%s-s%d", queue, i+1)] = Run{Seed: uint64(i + 1), Result: map[string]any{
				"queue": queue, "ttr_s": ttr, "efficiency": draw(0.8 / (1 + slow[queue])), "goodput_per_s": map[string]float64{"establish": draw(60 / (1 + slow[queue]))},
				"wasted_work": draw(0.05), "fairness": 1 - draw(0.01), "shed": int(draw(20000)), "time_to_lease_s": map[string]float64{"p50": draw(1.5), "p99": draw(ttr)},
			}}
		}
	}
	return all
}

// WriteSuite writes a Suite into dir.
func WriteSuite(t testing.TB, dir string, n int, seed uint64, slow map[string]float64) {
	t.Helper()
	for name, r := range Suite(n, seed, slow) {
		r.Write(t, filepath.Join(dir, name))
	}
}
