package queue

import (
	"fmt"
	"slices"
	"strings"

	"github.com/leasestorm/leasestorm/queue/catalog"
)

// Wrap makes a discipline around others. Each call of inner makes one of them.
type Wrap func(cfg Config, v catalog.Values, inner func() (Discipline, error)) (Discipline, error)

// Wrappers lists the disciplines that are composed with another one, as percore is in
// "percore+deadline:margin=2". A wrapper that keeps several inner disciplines, one per part,
// zone or class, makes each of them with the same parameters: a limit is the limit of each.
var Wrappers = catalog.New("queue wrapper", wrappers...)

// Make returns the discipline that ref names: one of the Catalog, for example
// "deadline:margin=1", or one with Wrappers around it, for example "percore+fifo".
func Make(ref string, cfg Config) (Discipline, error) {
	if err := Validate(ref); err != nil {
		return nil, err
	}
	return build(strings.Split(ref, "+"), cfg)
}

func build(refs []string, cfg Config) (Discipline, error) {
	if len(refs) == 1 {
		e, v, err := Catalog.Resolve(refs[0])
		if err != nil {
			return nil, err
		}
		return e.New(cfg, v)
	}
	w, v, err := resolveWrapper(refs[0])
	if err != nil {
		return nil, err
	}
	return w.New(cfg, v, func() (Discipline, error) { return build(refs[1:], cfg) })
}

// Validate returns an error if Make does not know a name or parameter in ref, or if the parts
// of a composition clash, for example if one would ignore another.
func Validate(ref string) error {
	refs := strings.Split(ref, "+")
	last := len(refs) - 1
	for _, wrapper := range refs[:last] {
		if _, _, err := resolveWrapper(wrapper); err != nil {
			return err
		}
	}
	if _, _, err := Catalog.Resolve(refs[last]); err != nil {
		return err
	}
	return composes(refs)
}

// composes refuses a composition that clashes, and says what to write instead.
func composes(refs []string) error {
	why, instead := clash(refs)
	if why == "" {
		return nil
	}
	for i, ref := range instead {
		// What is written instead may clash in its turn.
		for next := strings.Split(ref, "+"); next != nil; {
			instead[i] = fmt.Sprintf("%q", strings.Join(next, "+"))
			_, better := clash(next)
			if next = nil; better != nil {
				next = strings.Split(better[0], "+")
			}
		}
	}
	return fmt.Errorf("queue composition %q: %w: %s; write %s", strings.Join(refs, "+"), catalog.ErrParam, why, strings.Join(instead, " or "))
}

// clash says why a wrapper would ignore what stands behind it, or break what that promises,
// and which compositions do not.
func clash(refs []string) (why string, instead []string) {
	names := make([]string, len(refs))
	for i, ref := range refs {
		names[i], _, _ = strings.Cut(ref, ":")
	}
	last := len(refs) - 1
	wrappers := names[:last]
	without := func(i int) string { return strings.Join(slices.Delete(slices.Clone(refs), i, i+1), "+") }
	for i, name := range wrappers {
		switch again := slices.Index(wrappers[i+1:], name); {
		case again >= 0:
			return "the second " + name + " has nothing left to do", []string{without(i + 1 + again)}
		case name == "percore" && slices.Contains(wrappers, "coalesce"):
			return "percore spreads a droplet's attempts over parts, and coalesce sees those of one part", []string{without(i)}
		case name == "percore" && i > 0:
			return "workers cannot reach percore's parts through " + names[i-1], []string{refs[i] + "+" + without(i)}
		case name == "edf" && i+1 < last:
			inner := append(slices.Delete(slices.Clone(refs[:last]), i, i+1), "edf")
			if names[last] == "deadline" {
				inner = append(inner, refs[last])
			}
			return "edf keeps all attempts itself and would ignore " + names[i+1], []string{strings.Join(inner, "+")}
		case name == "edf" && names[last] != "fifo" && names[last] != "deadline":
			edf := strings.Join(append(slices.Clone(refs[:i]), "edf"), "+")
			return "edf keeps all attempts itself, takes over deadline's drop rule, and would ignore " + names[last], []string{edf, edf + "+deadline", without(i)}
		case name == "priority" && names[last] == "slack":
			return "priority takes apart the classes that slack orders", []string{without(i), strings.Join(refs[:last], "+") + "+deadline"}
		}
	}
	return "", nil
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
