// Package dynamo is an in-process store with the HTTP API of DynamoDB, as far as a lease manager
// uses it: CreateTable, DescribeTable, PutItem, UpdateItem and GetItem with their conditions, and
// Query by key. The errors are those of DynamoDB, with their codes and their form on the wire.
// What DynamoDB can do and this store cannot is a ValidationException that names it.
//
// The store keeps everything in memory and forgets it at its end.
package dynamo

import (
	"maps"
	"sync"
	"time"

	"go.uber.org/atomic"
)

// Store has tables. Its methods are safe for concurrent use.
type Store struct {
	mu     sync.RWMutex
	tables map[string]*table
	counts counts
}

type counts struct{ calls, conditions, faults atomic.Int64 }

// NewStore returns a store without tables.
func NewStore() *Store { return &Store{tables: map[string]*table{}} }

// table is one table.
type table struct {
	mu      sync.Mutex
	name    string
	created time.Time
	hash    attribute
	sort    attribute // no name: the table has none
	items   map[string]map[string]Item
	schema  []keyElement // as CreateTable gave it
	defs    []definition
	mode    string // of billing
	read    int64  // capacity, which is told and not enforced
	write   int64
}

// attribute is an attribute of the key.
type attribute struct{ Name, Kind string }

func (s *Store) table(name string) (*table, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if t := s.tables[name]; t != nil {
		return t, nil
	}
	return nil, errNoTable
}

// mostBytes is the largest size of an item.
const mostBytes = 400 << 10

// keys are the parts of a key as they index the table's maps.
type keys struct{ hash, sort string }

// keyOf takes the key out of an item.
func (t *table) keyOf(it Item) (k keys, err error) {
	if k.hash, err = keyPart(it, t.hash); err != nil || t.sort.Name == "" {
		return k, err
	}
	k.sort, err = keyPart(it, t.sort)
	return k, err
}

func keyPart(it Item, a attribute) (string, error) {
	v, ok := it[a.Name]
	switch {
	case !ok:
		return "", invalid("One or more parameter values were invalid: Missing the key %s in the item", a.Name)
	case v.Kind != a.Kind:
		return "", invalid("One or more parameter values were invalid: Type mismatch for key %s expected: %s actual: %s", a.Name, a.Kind, v.Kind)
	case v.Text == "":
		return "", invalid("One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value. Key: %s", a.Name)
	}
	return v.Text, nil
}

// key checks a key that is given by itself: it has the key's attributes and no others.
func (t *table) key(it Item) (keys, error) {
	want := 1
	if t.sort.Name != "" {
		want = 2
	}
	if len(it) != want {
		return keys{}, errKey
	}
	for _, a := range []attribute{t.hash, t.sort} {
		if v, ok := it[a.Name]; a.Name != "" && (!ok || v.Kind != a.Kind) {
			return keys{}, errKey
		}
	}
	return t.keyOf(it)
}

// store puts an item in its place.
func (t *table) store(k keys, it Item) {
	if t.items[k.hash] == nil {
		t.items[k.hash] = map[string]Item{}
	}
	t.items[k.hash][k.sort] = it
}

// conditional is what PutItem and UpdateItem have in common.
type conditional struct {
	names  names
	check  node   // the condition; no op: none
	onFail string // ReturnValuesOnConditionCheckFailure
}

// failed is the error if the condition does not hold for the item that is there.
func (c *conditional) failed(old Item) error {
	if c.check.op == "" || c.check.holds(old) {
		return nil
	}
	f := *errCondition
	if c.onFail == "ALL_OLD" {
		f.Item = old
	}
	return &f
}

func (s *Store) putItem(r *request) (any, error) {
	it, values := r.item("Item"), r.choice("ReturnValues", "NONE", "ALL_OLD")
	c := r.conditional()
	t, err := s.begin(r, &c.names)
	if err != nil {
		return nil, err
	}
	k, err := t.keyOf(it)
	switch {
	case err != nil:
		return nil, err
	case it.size() > mostBytes:
		return nil, invalid("Item size has exceeded the maximum allowed size")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	old := t.items[k.hash][k.sort]
	if err := c.failed(old); err != nil {
		return nil, err
	}
	t.store(k, it)
	if values == "ALL_OLD" && old != nil {
		return map[string]any{"Attributes": old}, nil
	}
	return map[string]any{}, nil
}

func (s *Store) updateItem(r *request) (any, error) {
	key, values := r.item("Key"), r.choice("ReturnValues", "NONE", "ALL_OLD", "ALL_NEW", "UPDATED_OLD", "UPDATED_NEW")
	c := r.conditional()
	changes := r.changes(&c.names)
	t, err := s.begin(r, &c.names)
	if err != nil {
		return nil, err
	}
	k, err := t.key(key)
	if err != nil {
		return nil, err
	}
	for _, change := range changes {
		if change.attr == t.hash.Name || change.attr == t.sort.Name {
			return nil, invalid("One or more parameter values were invalid: Cannot update attribute %s. This attribute is part of the key", change.attr)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	old := t.items[k.hash][k.sort]
	if err := c.failed(old); err != nil {
		return nil, err
	}
	before := old
	if before == nil {
		before = key
	}
	next, err := updated(before, changes)
	switch {
	case err != nil:
		return nil, err
	case next.size() > mostBytes:
		return nil, invalid("Item size to update has exceeded the maximum allowed size")
	}
	t.store(k, next)
	var back Item
	switch values {
	case "ALL_OLD":
		back = old
	case "ALL_NEW":
		back = next
	case "UPDATED_OLD":
		back = only(old, changes)
	case "UPDATED_NEW":
		back = only(next, changes)
	}
	if len(back) == 0 {
		return map[string]any{}, nil
	}
	return map[string]any{"Attributes": back}, nil
}

// only is what the changes concern of an item.
func only(it Item, changes []change) Item {
	part := Item{}
	for _, c := range changes {
		if v, ok := it[c.attr]; ok {
			part[c.attr] = v
		}
	}
	return part
}

func (s *Store) getItem(r *request) (any, error) {
	key := r.item("Key")
	t, err := s.begin(r, nil)
	if err != nil {
		return nil, err
	}
	k, err := t.key(key)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if it := t.items[k.hash][k.sort]; it != nil {
		return map[string]any{"Item": maps.Clone(it)}, nil
	}
	return map[string]any{}, nil
}

// begin is the table of a request that has been read: the first of its errors, or what its
// expressions leave unused, comes before the table that is not there.
func (s *Store) begin(r *request, n *names) (*table, error) {
	if r.err == nil && n != nil {
		r.err = n.unused()
	}
	name := r.text("TableName")
	if err := r.end(); err != nil {
		return nil, err
	}
	return s.table(name)
}
