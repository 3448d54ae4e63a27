package study

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/leasestorm/leasestorm/bench"
)

// elsewhereRunner counts what a study expects of it.
type elsewhereRunner struct {
	bench.Virtual
	expected int
}

func (*elsewhereRunner) AtOnce() int       { return 2 }
func (r *elsewhereRunner) Expect(runs int) { r.expected += runs }

// A run that is set aside does not end the others, another error does; and a Wide Runner is seen
// through a Memory.
func TestEach(t *testing.T) {
	other := errors.New("broken")
	for _, tt := range []struct {
		err error
		all bool
	}{{fmt.Errorf("cell 1: %w", ErrSetAside), true}, {other, false}} {
		r := &elsewhereRunner{}
		m, err := Remember(r, "", 0)
		if err != nil {
			t.Fatal(err)
		}
		ran := 0
		err = each(t.Context(), m, 1, 10, 3, func(_ context.Context, i int) error {
			ran++
			if i == 1 {
				return tt.err
			}
			return nil
		})
		if !errors.Is(err, tt.err) || (ran == 10) != tt.all || r.expected != 30 {
			t.Errorf("%v: %d ran, %d were expected, error %v", tt.err, ran, r.expected, err)
		}
		if strings.Count(err.Error(), "\n") != 0 {
			t.Errorf("more than one error: %v", err)
		}
	}
}
