package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/oracle"
	"github.com/leasestorm/leasestorm/bench/study"
)

// elsewhereWithout is a Runner in other processes that sets the models of a name aside.
type elsewhereWithout struct {
	bench.Virtual
	name string
}

func (elsewhereWithout) AtOnce() int { return 4 }
func (elsewhereWithout) Expect(int)  {}

func (e elsewhereWithout) Do(_ context.Context, _ string, in []byte) ([]byte, error) {
	var m measured
	if err := json.Unmarshal(in, &m); err != nil {
		return nil, err
	}
	if m.Model.Name == e.name {
		return nil, fmt.Errorf("%s: %w", m.Model.Name, study.ErrSetAside)
	}
	return json.Marshal([]oracle.Row{{Engine: "virtual", Model: m.Model.Name, Quantity: "of " + m.Model.Name, Pass: true}})
}

// A model that is set aside is an error, and the rows of all others are printed in order.
func TestModelSetAside(t *testing.T) {
	var models []measured
	for _, name := range []string{"a", "b", "c"} {
		models = append(models, measured{Model: oracle.Model{Name: name}})
	}
	for _, name := range []string{"a", "b"} {
		var text strings.Builder
		err := measureModels(t.Context(), elsewhereWithout{name: name}, models, &rowPrinter{w: &text})
		if !errors.Is(err, study.ErrSetAside) {
			t.Errorf("without %s: %v", name, err)
		}
		first, last := strings.Index(text.String(), "of "+strings.Trim("ab", name)), strings.Index(text.String(), "of c")
		if first < 0 || last < first || strings.Contains(text.String(), "of "+name) || strings.Count(text.String(), "engine") != 1 {
			t.Errorf("without %s:\n%s", name, text.String())
		}
	}
}
