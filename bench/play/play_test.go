package play_test

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/play"
	"github.com/leasestorm/leasestorm/bench/play/desk"
	"github.com/leasestorm/leasestorm/internal/need"
)

// site makes the playground in a folder.
func site(t *testing.T) string {
	t.Helper()
	engine, dir := t.TempDir(), filepath.Join(t.TempDir(), "site")
	if out, err := exec.CommandContext(t.Context(), "../../scripts/playground", engine).CombinedOutput(); err != nil {
		t.Fatalf("scripts/playground: %v\n%s", err, out)
	}
	s, err := play.With(os.DirFS(engine))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Write(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// question is one for testdata/worker.cjs. From puts the files of earlier answers into folders.
type question struct {
	Question string         `json:"question"`
	Ask      desk.Ask       `json:"ask"`
	From     map[string]int `json:"from,omitempty"`
}

// answer is what the worker says.
type answer struct {
	Answer   json.RawMessage `json:"answer"`
	Error    string          `json:"error"`
	Progress int             `json:"progress"`
	Files    []string        `json:"files"`
}

// ask asks the worker in node, and returns its answers and the folder of their files.
func ask(t *testing.T, dir string, questions ...question) ([]answer, string) {
	t.Helper()
	node, out := need.Tool(t, "node", "Debian's package nodejs"), t.TempDir()
	text, err := json.Marshal(questions)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), node, "--stack-size=8192", "testdata/worker.cjs", dir, out)
	var complaints bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(text), &complaints
	said, err := cmd.Output()
	if err != nil {
		t.Fatalf("node: %v\n%s", err, complaints.String())
	}
	var all []answer
	for d := json.NewDecoder(bytes.NewReader(said)); d.More(); {
		var a answer
		if err := d.Decode(&a); err != nil {
			t.Fatal(err)
		}
		all = append(all, a)
	}
	if len(all) != len(questions) {
		t.Fatalf("%d answers to %d questions: %s%s", len(all), len(questions), said, complaints.String())
	}
	return all, out
}

// In WebAssembly a run has the files of sim, to the byte; so has the law the same numbers, and the
// report the same words.
func TestSameBytes(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the engine, and runs it in node")
	}
	dir := site(t)
	asks := []desk.Ask{
		{Keys: map[string]string{"name": "surge", "leases": "100000", "broken": "10000"}, Contestants: []string{"fifo"}, Seed: 1},
		{Keys: map[string]string{"name": "surge", "leases": "100000", "broken": "10000"}, Contestants: []string{"deadline/none/backoff"}, Seed: 1},
		{Keys: map[string]string{"leases": "20000", "service_law": "lognormal:cv=2", "workers": "3", "timeout": "2s", "kappa": "0.001"}, Contestants: []string{"lifo/bbr/backoff"}, Seed: 7},
		{Keys: map[string]string{"leases": "20000", "service_law": "exponential", "operator": "both", "launch": "0.1"}, Contestants: []string{"codel/vegas/fixed"}, Seed: 3},
	}
	var questions []question
	for _, a := range asks {
		a.Folder = "/run"
		questions = append(questions, question{Question: "run", Ask: a}, question{Question: "law", Ask: a})
	}
	questions = append(questions, question{Question: "report", Ask: desk.Ask{Folder: "/report"}, From: map[string]int{"0-fifo": 0, "1-deadline": 2}})
	large := desk.Ask{Keys: map[string]string{"leases": "400000000", "rho": "0.9", "interval": "1h"}, Contestants: []string{"fifo"}, Seed: 1, Folder: "/run"}
	questions = append(questions, question{Question: "run", Ask: large}, question{Question: "law", Ask: asks[0]})
	answers, out := ask(t, dir, questions...)
	want := t.TempDir()
	for i, a := range asks {
		if answers[2*i].Error != "" {
			t.Fatalf("%v: %s", a, answers[2*i].Error)
		}
		s, err := a.Scenario(a.Contestants[0])
		if err != nil {
			t.Fatal(err)
		}
		folder := filepath.Join(want, strconv.Itoa(i))
		if _, err := (bench.Virtual{}).Run(t.Context(), s, bench.Options{Seed: a.Seed, MaxQueue: desk.MaxQueue, Folder: folder}); err != nil {
			t.Fatal(err)
		}
		if n := same(t, folder, filepath.Join(out, strconv.Itoa(2*i))); n < 4 || answers[2*i].Progress == 0 && i == 0 {
			t.Errorf("%v: %d files, and was told of %d times", a, n, answers[2*i].Progress)
		}
		text, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		law, err := desk.Answer(t.Context(), "law", text, nil)
		if err != nil || !bytes.Equal(compact(t, law), compact(t, answers[2*i+1].Answer)) {
			t.Errorf("%v: the law says\n%s\nin WebAssembly, and\n%s (%v)", a, answers[2*i+1].Answer, law, err)
		}
	}
	if refused, after := answers[len(answers)-2], answers[len(answers)-1]; !strings.Contains(refused.Error, "not enough memory") || after.Error != "" {
		t.Errorf("a run that does not fit: %s; and then: %s", refused.Error, after.Error)
	}
	last := answers[len(answers)-3]
	if last.Error != "" || !strings.Contains(string(last.Answer), "fifo") {
		t.Fatalf("report: %s, %.200s", last.Error, last.Answer)
	}
	page, err := os.ReadFile(filepath.Join(out, strconv.Itoa(len(answers)-3), "report.html"))
	if err != nil || !bytes.Contains(page, []byte("Content-Security-Policy")) {
		t.Errorf("report.html: %d bytes, %v", len(page), err)
	}
}

// compact writes JSON in one way: a JavaScript engine writes numbers in its own.
func compact(t *testing.T, text []byte) []byte {
	t.Helper()
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// same compares two folders, and returns the number of their files.
func same(t *testing.T, want, got string) (n int) {
	t.Helper()
	names := func(dir string) (all []string) {
		err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				all = append(all, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	wanted := names(want)
	if w, g := strings.Join(wanted, " "), strings.Join(names(got), " "); w != g {
		t.Errorf("%s has %s; want %s", got, g, w)
		return 0
	}
	for _, name := range wanted {
		a, err1 := os.ReadFile(filepath.Join(want, name))
		b, err2 := os.ReadFile(filepath.Join(got, name))
		if err1 != nil || err2 != nil || !bytes.Equal(a, b) {
			t.Errorf("%s differs: %d and %d bytes, %v, %v", name, len(a), len(b), err1, err2)
		}
	}
	return len(wanted)
}
