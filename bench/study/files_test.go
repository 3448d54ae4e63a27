package study

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/internal/files"
	"github.com/leasestorm/leasestorm/bench/internal/files/filestest"
	"github.com/leasestorm/leasestorm/bench/record"
	"github.com/leasestorm/leasestorm/bench/scenario"
)

type noBars struct{}

func (noBars) Cell(int, int, string, time.Duration, time.Duration) (bench.Live, func(string)) {
	return nil, func(string) {}
}
func (noBars) Note(string) {}

// finished are the manifests of the runs in a folder; each is to be whole.
func finished(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	found, err := filepath.Glob(filepath.Join(dir, "*", "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range found {
		if strings.HasPrefix(filepath.Base(filepath.Dir(path)), ".") {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := bench.ReadManifest(t.Context(), filepath.Dir(path)); err != nil {
			t.Errorf("looks finished and is not: %v", err)
		}
		all[filepath.Base(filepath.Dir(path))] = text
	}
	return all
}

// Whatever call fails in a suite, no cell that is finished is lost or half there, and the
// suite that is resumed completes.
func TestSuiteSurvivesTheDisk(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine: the long run has it")
	}
	set := []string{"leases=200", "broken=20", "duration=200ms", "timeout=50ms", "interval=1s", "ttl=3s", "spread=5ms", "steady=100ms", "outage=100ms"}
	s := Suite{Name: "tiny", Seeds: 2, cells: []contestant{surge(set...)}}
	var dir string
	filestest.EachCall(t, func(t *testing.T) error {
		dir = filepath.Join(t.TempDir(), "a", "suite")
		if err := s.begin(dir, How{Method: Method{Engine: "virtual"}, Seed: 1}); err != nil {
			return err
		}
		_, err := RunSuite(t.Context(), dir, nil, noBars{})
		return err
	}, func(t *testing.T, err error) {
		if !errors.Is(err, filestest.ErrBroken) {
			t.Errorf("the error is lost: %v", err)
		}
		had := finished(t, dir)
		if _, err := os.Lstat(dir); err != nil { // not even begun
			if err := s.begin(dir, How{Method: Method{Engine: "virtual"}, Seed: 1}); err != nil {
				t.Fatal(err)
			}
		}
		if all, err := RunSuite(t.Context(), dir, nil, noBars{}); err != nil || len(all.Results) != 2 {
			t.Fatalf("resumed: %d results, %v", len(all.Results), err)
		}
		now := finished(t, dir)
		for name, text := range had {
			if !bytes.Equal(now[name], text) {
				t.Errorf("cell %s was finished and is another", name)
			}
		}
		if left, err := files.Left(dir); err != nil || len(left) > 0 || len(now) != 2 {
			t.Errorf("%d cells; left: %v, %v", len(now), left, err)
		}
	})
}

// A cell that was written whole, and not yet in its place, is not run again.
func TestSuiteTakesUpWholeCells(t *testing.T) {
	s := Suite{Name: "tiny", Seeds: 1, cells: []contestant{surge("leases=200", "broken=20", "duration=1s")}}
	dir := filepath.Join(t.TempDir(), "suite[1]")
	if err := s.begin(dir, How{Method: Method{Engine: "virtual"}, Seed: 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := RunSuite(t.Context(), dir, nil, noBars{}); err != nil {
		t.Fatal(err)
	}
	m, err := readSuite(dir)
	if err != nil {
		t.Fatal(err)
	}
	cell := filepath.Join(dir, m.Cells[0].Folder)
	before, err := os.Stat(filepath.Join(cell, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	half := filepath.Join(dir, ".x.unfinished-1")
	if err := errors.Join(os.Rename(cell, filepath.Join(dir, "."+m.Cells[0].Folder+".unfinished-1")), os.Mkdir(half, 0o700)); err != nil {
		t.Fatal(err)
	}
	if _, err := RunSuite(t.Context(), dir, nil, noBars{}); err != nil {
		t.Fatal(err)
	}
	after, err := os.Stat(filepath.Join(cell, "manifest.json"))
	if err != nil || !os.SameFile(before, after) {
		t.Errorf("run again: %v", err)
	}
	if _, err := os.Lstat(half); err == nil {
		t.Error("what is half written is still there")
	}
}

// tinyMap is a map of a few points.
func tinyMap(t *testing.T) Map {
	g := smallMap(t, "leases=200", "broken=20", "duration=2s")
	g.Contestants = g.Contestants[:1]
	g.X.N, g.Y.N = 3, 3
	return g
}

// Whatever call fails in a map, no point is lost, and the map that is resumed is whole.
func TestMapSurvivesTheDisk(t *testing.T) {
	sound, want := runMap(t, tinyMap(t))
	text, err := os.ReadFile(filepath.Join(sound, pointsFile))
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.Count(text, []byte("\n"))
	var dir string
	filestest.EachCall(t, func(t *testing.T) error {
		dir = filepath.Join(t.TempDir(), "map")
		if err := NewMap(dir, tinyMap(t)); err != nil {
			return err
		}
		_, err := RunMap(t.Context(), dir, nil, nil)
		return err
	}, func(t *testing.T, err error) {
		if !errors.Is(err, filestest.ErrBroken) {
			t.Errorf("the error is lost: %v", err)
		}
		points := filepath.Join(dir, pointsFile)
		had, _ := os.ReadFile(points)
		had = had[:bytes.LastIndexByte(had, '\n')+1]
		if text, err := os.ReadFile(filepath.Join(dir, record.MapFile)); err == nil && !json.Valid(text) {
			t.Error("half a map stands under its name")
		}
		if _, err := os.Lstat(dir); err != nil { // not even begun
			if err := NewMap(dir, tinyMap(t)); err != nil {
				t.Fatal(err)
			}
		}
		got, err := RunMap(t.Context(), dir, nil, nil)
		if err != nil || !reflect.DeepEqual(got.Points, want.Points) {
			t.Fatalf("the resumed map differs: %v", err)
		}
		now, _ := os.ReadFile(points)
		if n := bytes.Count(now, []byte("\n")); n != lines || !bytes.Equal(now, text) {
			t.Errorf("points were lost or run again, or are out of order: %d lines", n)
		}
		for line := range bytes.Lines(had) {
			if !bytes.Contains(now, line) {
				t.Errorf("a point was lost: %s", line)
			}
		}
	})
}

// A folder that is in use is refused, and left as it is.
func TestFoldersInUse(t *testing.T) {
	dir, _ := runMap(t, tinyMap(t))
	cell := filepath.Join(dir, ".cell.unfinished-1")
	suite, err := json.Marshal(SuiteManifest{Schema: bench.ManifestSchema, Suite: "x"})
	if err == nil {
		err = errors.Join(os.Mkdir(cell, 0o700), os.WriteFile(filepath.Join(dir, suiteFile), suite, 0o600))
	}
	if err != nil {
		t.Fatal(err)
	}
	held, err := lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Release()
	if _, err := RunMap(t.Context(), dir, nil, nil); !errors.Is(err, record.ErrInUse) {
		t.Errorf("a second map: %v", err)
	}
	if _, err := RunSuite(t.Context(), dir, nil, noBars{}); !errors.Is(err, record.ErrInUse) {
		t.Errorf("a second suite: %v", err)
	}
	if _, err := os.Lstat(cell); err != nil {
		t.Errorf("the first one's cell: %v", err)
	}
}

// Whatever map.json says, it is run or refused by name.
func TestMapFileRefused(t *testing.T) {
	for name, change := range map[string]func(*Map){
		"n of 0": func(g *Map) { g.X.N = 0 }, "n of 1": func(g *Map) { g.Y.N = 1 }, "n below 0": func(g *Map) { g.X.N = -5 }, "n without end": func(g *Map) { g.Y.N = 100_000 },
		"backward": func(g *Map) { g.X.Low, g.X.High = g.X.High, g.X.Low }, "log of 0": func(g *Map) { g.Y.Low, g.Y.Log = 0, true },
		"seeds": func(g *Map) { g.Seeds = 1 << 40 }, "workers": func(g *Map) { g.Scenario = "workers = -1" },
		"no scenario": func(g *Map) { g.Scenario = "leases = 3.5" }, "an escape": func(g *Map) { g.Scenario = `about = "\a"` },
	} {
		dir := filepath.Join(t.TempDir(), "map")
		if err := NewMap(dir, tinyMap(t)); err != nil {
			t.Fatal(err)
		}
		g := tinyMap(t)
		g.Schema = bench.ManifestSchema
		change(&g)
		path := filepath.Join(dir, mapLayout)
		if err := record.WriteFile(path, record.JSON(g)); err != nil {
			t.Fatal(err)
		}
		if _, err := RunMap(t.Context(), dir, nil, nil); !errors.Is(err, scenario.ErrScenario) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v; want an error that names %s", name, err, path)
		}
	}
}

// A line of points may have any length; one that is none of them is refused wherever it stands.
func TestMapLongLines(t *testing.T) {
	dir, want := runMap(t, tinyMap(t))
	path := filepath.Join(dir, pointsFile)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	long := bytes.Replace(text, []byte("{"), []byte("{"+strings.Repeat(" ", 200_000)), 1)
	if err := os.WriteFile(path, long, 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := RunMap(t.Context(), dir, nil, nil)
	if err != nil || !reflect.DeepEqual(got.Points, want.Points) {
		t.Fatalf("%v", err)
	}
	if now, _ := os.ReadFile(path); !bytes.Equal(now, text) {
		t.Errorf("%d points, want %d", bytes.Count(now, []byte("\n")), bytes.Count(long, []byte("\n")))
	}
	if err := os.WriteFile(path, append(long, "{\"contestant\":7}\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := RunMap(t.Context(), dir, nil, nil); err == nil || !strings.Contains(err.Error(), fmt.Sprintf(":%d: not a point", 1+bytes.Count(long, []byte("\n")))) {
		t.Errorf("%v", err)
	}
}

// Points are not kept through a link: what it leads to was cut.
func TestMapFollowsNoLink(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "map")
	elsewhere := filepath.Join(t.TempDir(), "elsewhere")
	if err := errors.Join(NewMap(dir, tinyMap(t)), os.WriteFile(elsewhere, []byte("kept"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(elsewhere, filepath.Join(dir, pointsFile)); err != nil {
		t.Skip(err)
	}
	if _, err := RunMap(t.Context(), dir, nil, nil); err == nil {
		t.Error("run through a link")
	}
	if text, _ := os.ReadFile(elsewhere); string(text) != "kept" {
		t.Errorf("a file elsewhere is %q", text)
	}
}

// A search that ends early returns what is finished, and no more.
func TestSearchesInterrupted(t *testing.T) {
	s := surgeStudy(t, "leases=200", "broken=20", "duration=1s")
	o := bench.Options{Seed: 1}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if books, err := SearchRunbook(ctx, bench.Virtual{}, s, o, time.Second); !errors.Is(err, context.Canceled) || len(books) > 0 {
		t.Errorf("%d runbooks that were not tried, %v", len(books), err)
	}
	if all, err := Thresholds(ctx, bench.Virtual{}, s, []string{"fifo"}, o, 2, nil); !errors.Is(err, context.Canceled) || len(all) > 0 {
		t.Errorf("%+v, %v", all, err)
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // one after the other
	const bad = "slack/none/fixed:wait=40"          // its guard refuses it when it is made
	want, err := Thresholds(t.Context(), bench.Virtual{}, s, []string{"fifo"}, o, 2, nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Thresholds(t.Context(), bench.Virtual{}, s, []string{"fifo", bad, "lifo"}, o, 2, nil)
	if err == nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v: %+v, want %+v", err, got, want)
	}
}
