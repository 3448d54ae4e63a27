//go:build !interleave

package queue

import (
	"os/exec"
	"testing"
)

// The structures without a lock keep their promises in all interleavings of small programs.
// Scheduling points would cost time where none is wanted, so the tests that need them are
// compiled with points in: this one runs them (go test -tags interleave -run Interleave -v).
func TestInterleavings(t *testing.T) {
	if testing.Short() {
		t.Skip("walks some 700,000 schedules")
	}
	out, err := exec.Command("go", "test", "-tags", "interleave", "-run", "^TestInterleave", "-count=1", ".").CombinedOutput()
	if err != nil {
		t.Errorf("%v:\n%s", err, out)
	}
}
