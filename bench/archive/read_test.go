package archive

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What a spreadsheet has made of a series is refused, with the cause and the mend.
func TestSeriesOfASpreadsheet(t *testing.T) {
	good := "t_s,phase,active,queued,good_establish\n0.1,steady,1,2,3\n"
	if _, err := ParseSeries([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for text, cause := range map[string]string{
		"\xef\xbb\xbf" + good: "byte-order mark", strings.ReplaceAll(good, ",", ";"): "semicolons", strings.ReplaceAll(good, ",", "\t"): "tabs", "\xff\xfet\x00_\x00s\x00": "UTF-16",
	} {
		_, err := ParseSeries([]byte(text))
		if err == nil || !strings.Contains(err.Error(), cause) || !strings.Contains(err.Error(), "spreadsheet") || !strings.Contains(err.Error(), "commas between columns") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// Of a folder with a damaged run the whole ones are returned, and the damage is named.
func TestSalvage(t *testing.T) {
	const (
		manifest = `{"schema":1,"result":{"scenario":"surge","leases":10,"workers":1,"valid":true},"phases":[{"name":"steady"}]}`
		series   = "t_s,phase,active,queued,good_establish\n0.1,steady,1,2,3\n"
	)
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a/manifest.json": manifest, "a/series.csv": series, "b/manifest.json": manifest[:40], "c/manifest.json": manifest, ".d/manifest.json": "{",
		"f/manifest.json": manifest, "f/series.csv": series[:30], "g/manifest.json": strings.Replace(manifest, `"valid"`, `"run_s":0.4,"valid"`, 1), "g/series.csv": series, "e/manifest.json": strings.Replace(manifest, `"schema":1`, `"schema":7,"build":{"version":"v9","commit":"abc"}`, 1),
	} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	cells, damaged, err := Salvage(t.Context(), dir)
	if err != nil || len(cells) != 4 || filepath.Base(cells[0].Folder) != "a" || cells[0].Series == nil || cells[1].Series != nil || cells[3].Series != nil || len(damaged) != 4 {
		t.Fatalf("%d cells, %v, %v; want a, and c, f and g without a series, and what is damaged of b, e, f and g", len(cells), damaged, err)
	}
	for i, want := range []string{"b/manifest.json", "schema 7, and this program reads 1: use the version that wrote it (v9, commit abc)", "f/series.csv", "g/series.csv: cut off: it ends at 0.1 s, and the run at 0.4 s"} {
		if !strings.Contains(damaged[i].Error(), want) {
			t.Errorf("%v does not say %s", damaged[i], want)
		}
	}
	link := filepath.Join(t.TempDir(), "latest")
	if err := os.Symlink(dir, link); err != nil {
		t.Skip(err)
	}
	if linked, broken, err := Salvage(t.Context(), link); err != nil || len(linked) != len(cells) || linked[0].Folder != filepath.Join(link, "a") || len(broken) != len(damaged) {
		t.Errorf("by way of a link: %d cells, %v, %v", len(linked), broken, err)
	}
	if _, err := Load(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "b/manifest.json") {
		t.Errorf("Load of a damaged folder: %v", err)
	}
}

// A folder that may not be read is damage, and the others are read.
func TestSalvageUnreadable(t *testing.T) {
	dir := t.TempDir()
	manifest := []byte(`{"schema":1,"result":{"scenario":"surge","leases":10,"workers":1,"valid":true},"phases":[{"name":"steady"}]}`)
	locked := filepath.Join(dir, "a")
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "b"), 0o700), os.WriteFile(filepath.Join(dir, "b", "manifest.json"), manifest, 0o600), os.Mkdir(locked, 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.ReadDir(locked); err == nil {
		t.Skip("this user may read everything")
	}
	cells, damaged, err := Salvage(t.Context(), dir)
	if err != nil || len(cells) != 1 || len(damaged) != 1 || !strings.Contains(damaged[0].Error(), locked) {
		t.Errorf("%d cells, %v, %v", len(cells), damaged, err)
	}
}

// A terminal would obey a control character of a stranger's folder, wherever it is printed.
func TestManifestIsPrintable(t *testing.T) {
	const good = `{"schema":1,"scenario_toml":"name = \"surge\"\r\n\tleases = 10\n","command":"leasestorm sim","result":{"scenario":"surge","table":"lockfree","queue":"fifo","invalid_because":"late","leases":10,"workers":1},"phases":[{"name":"steady"}],"host":{"cpu":"a processor"}}`
	if err := new(Manifest).Parse([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{`surge","table`, "lockfree", "fifo", "late", "steady", "a processor", "leases = 10"} {
		for _, c := range []string{`\u001b[2J`, `\u009b`, `\u0000`, `\b`} {
			if err := new(Manifest).Parse([]byte(strings.Replace(good, at, c+at, 1))); err == nil || !strings.Contains(err.Error(), "control character") || strings.ContainsAny(err.Error(), "\x1b\u009b\x00\b") {
				t.Errorf("%s before %s: %q", c, at, err)
			}
		}
	}
}

// Of few values the line before the largest can stand further out than the largest
// does: log10 of their number. The curve must not turn back.
func TestPercentilesDoNotTurnBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "establish-return-intended.hgrm")
	hgrm := "Value Percentile TotalCount 1/(1-Percentile)\n0.020 0.000000000000 1 1.00\n0.485 0.981250000000 99 53.33\n0.986 0.990625000000 100 106.67\n0.986 1.000000000000 100\n"
	if err := os.WriteFile(path, []byte(hgrm), 0o644); err != nil {
		t.Fatal(err)
	}
	var l Line
	if err := readPercentiles(path, &l); err != nil {
		t.Fatal(err)
	}
	if len(l.X) != 4 || l.Y[3] != 0.986 {
		t.Fatalf("%d points: %v at %v; want 4, the last .986", len(l.X), l.Y, l.X)
	}
	for i := 1; i < len(l.X); i++ {
		if l.X[i] < l.X[i-1] {
			t.Errorf("from %.3f nines back to %.3f", l.X[i-1], l.X[i])
		}
	}
}

// Runs against services that are not ours are told apart by policy and URL: their parts are not known.
func TestContestantsOfServices(t *testing.T) {
	cell := func(url, retry string) (c Cell) {
		c.Manifest.Result = Result{Engine: "target", Queue: "fifo", Admit: "none", Retry: retry, Valid: true}
		c.Manifest.Target.Client.URL = url
		return c
	}
	a, b := cell("http://127.0.0.1:8080/lease", "immediate"), cell("http://127.0.0.1:8081/lease", "immediate")
	for _, tt := range []struct {
		cells []Cell
		want  string
	}{
		{[]Cell{a, a}, "immediate"}, {[]Cell{a, b}, "http://127.0.0.1:8080/lease; http://127.0.0.1:8081/lease"},
		{[]Cell{a, cell("http://127.0.0.1:8080/lease", "backoff")}, "immediate; backoff"},
	} {
		var names []string
		for _, g := range Contestants(tt.cells) {
			names = append(names, g.Name)
		}
		if got := strings.Join(names, "; "); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}
