package queue

import (
	"fmt"
	"strings"

	"github.com/leasestorm/leasestorm/queue/catalog"
)

// Wrap makes a discipline around others that inner makes, one a call.
type Wrap func(cfg Config, v catalog.Values, inner func() (Discipline, error)) (Discipline, error)

// Wrappers lists what composes with a discipline, as in "percore+deadline:margin=2".
var Wrappers = catalog.New("queue wrapper", wrappers...)

// Make builds the discipline that ref names, for example "deadline:margin=1", or a
// composition of wrappers around one, for example "percore+fifo".
func Make(ref string, cfg Config) (Discipline, error) {
	wrap, rest, ok := strings.Cut(ref, "+")
	if !ok {
		e, v, err := Catalog.Resolve(ref)
		if err != nil {
			return nil, err
		}
		return e.New(cfg, v)
	}
	w, v, err := resolveWrapper(wrap)
	if err != nil {
		return nil, err
	}
	return w.New(cfg, v, func() (Discipline, error) { return Make(rest, cfg) })
}

// Validate says whether Make knows all that ref names.
func Validate(ref string) error {
	for {
		wrap, rest, ok := strings.Cut(ref, "+")
		if !ok {
			_, _, err := Catalog.Resolve(ref)
			return err
		}
		if _, _, err := resolveWrapper(wrap); err != nil {
			return err
		}
		ref = rest
	}
}

func resolveWrapper(ref string) (catalog.Entry[Wrap], catalog.Values, error) {
	w, v, err := Wrappers.Resolve(ref)
	if err != nil {
		name, _, _ := strings.Cut(ref, ":")
		if _, _, other := Catalog.Resolve(name); other == nil {
			err = fmt.Errorf("queue discipline %q goes last in a composition, behind the wrappers: %s", name, strings.Join(Wrappers.Names(), ", "))
		}
	}
	return w, v, err
}
