package testseed

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// recorder is a test that keeps what it is told.
type recorder struct {
	testing.TB
	logged, fatal string
}

func (r *recorder) Helper()                      {}
func (r *recorder) Logf(f string, args ...any)   { r.logged = fmt.Sprintf(f, args...) }
func (r *recorder) Fatalf(f string, args ...any) { r.fatal = fmt.Sprintf(f, args...) }

// What a test prints is what the variable takes, and it gives the same seed again.
func TestDrawAgain(t *testing.T) {
	t.Setenv(Env, "")
	first := &recorder{}
	seed := Draw(first)
	if other := Draw(&recorder{}); other == seed {
		t.Errorf("two draws are both %d", seed)
	}
	name, value, _ := strings.Cut(first.logged, "=")
	t.Setenv(name, value)
	if again := Draw(&recorder{}); name != Env || again != seed {
		t.Errorf("with what was printed, %q, the seed is %d; it was %d", first.logged, again, seed)
	}
}

func TestDrawRefuses(t *testing.T) {
	for _, text := range []string{"x", "-1", "1.5", "18446744073709551616", " 1"} {
		t.Setenv(Env, text)
		r := &recorder{}
		if Draw(r); !strings.Contains(r.fatal, Env+"="+text+" ") {
			t.Errorf("seed %q: %q", text, r.fatal)
		}
	}
}

// No test draws a seed that nobody can give back.
func TestNobodyElseDraws(t *testing.T) {
	seen := 0
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		inTest := strings.HasSuffix(path, "_test.go") || strings.HasSuffix(filepath.Dir(path), "test")
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" || !inTest || filepath.Base(path) == "testseed_test.go" {
			return err
		}
		seen++
		text, err := os.ReadFile(path)
		for _, draw := range []string{"rand.Uint64()", "rand.Int64()", "rand.Int()", "rand.Uint32()", "time.Now().UnixNano()"} {
			if bytes.Contains(text, []byte(draw)) {
				t.Errorf("%s calls %s: testseed.Draw prints its seed and takes it back", path, draw)
			}
		}
		return err
	})
	if err != nil || seen < 50 {
		t.Errorf("%d files of tests: %v", seen, err)
	}
}
