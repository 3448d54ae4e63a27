package cli

import (
	"strings"
	"testing"

	"github.com/leasestorm/leasestorm/docs"
)

// list terms prints each row of the glossary, whole.
func TestListTerms(t *testing.T) {
	status, stdout, stderr := call(t, "list", "terms")
	if status != exitOK || stderr != "" {
		t.Fatalf("status %d, stderr %q", status, stderr)
	}
	for _, term := range docs.Terms() {
		for _, part := range []string{term.Name, term.Symbol, term.Meaning, term.Unit, term.Where, strings.ToLower(term.Section)} {
			if !strings.Contains(stdout, part) {
				t.Errorf("%s: %q is missing", term.Name, part)
			}
		}
	}
}
