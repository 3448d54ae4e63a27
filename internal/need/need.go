// Package need says of a tool that a test lacks what is to be done: the test is skipped, or fails if
// the environment has LEASESTORM_NEED_TOOLS, as CI does.
package need

import (
	"os"
	"os/exec"
	"testing"
)

// Tool returns the path of a tool.
func Tool(t testing.TB, name, from string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		Missing(t, name, from)
	}
	return path
}

// Missing ends a test that lacks something.
func Missing(t testing.TB, what, from string) {
	t.Helper()
	if os.Getenv("LEASESTORM_NEED_TOOLS") != "" {
		t.Fatalf("%s is missing: install %s", what, from)
	}
	t.Skipf("SKIPPED: %s is missing: install %s", what, from)
}
