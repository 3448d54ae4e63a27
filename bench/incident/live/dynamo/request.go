package dynamo

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// request is the body of a call. Each of its methods takes one member out, and remembers the first
// error: so the members that are left at the end are those that the store does not know.
type request struct {
	members map[string]json.RawMessage
	err     error
}

func read(body []byte) (*request, error) {
	r := &request{}
	if err := json.Unmarshal(body, &r.members); err != nil {
		return nil, serialization(err)
	}
	for name, m := range r.members {
		if string(m) == "null" {
			delete(r.members, name)
		}
	}
	return r, nil
}

// get takes a member into dst, and reports whether it is there.
func (r *request) get(name string, dst any) bool {
	data, ok := r.members[name]
	delete(r.members, name)
	if !ok {
		return false
	}
	if err := json.Unmarshal(data, dst); err != nil && r.err == nil {
		r.err = serialization(err)
	}
	return true
}

func (r *request) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

// end is the first error, or that for a member that nothing has taken.
func (r *request) end() error {
	if r.err != nil {
		return r.err
	}
	for _, name := range slices.Sorted(maps.Keys(r.members)) {
		return unsupported("the parameter " + name)
	}
	return nil
}

// missing is the error for a member that must be there.
func missing(name string) error {
	member := strings.ToLower(name[:1]) + name[1:]
	return invalid("1 validation error detected: Value null at '%s' failed to satisfy constraint: Member must not be null", member)
}

var tableName = regexp.MustCompile(`^[a-zA-Z0-9_.-]{3,255}$`)

// text takes a text that must be there; a table's name must look like one.
func (r *request) text(name string) (s string) {
	if !r.get(name, &s) {
		r.fail(missing(name))
	} else if name == "TableName" && !tableName.MatchString(s) {
		r.fail(invalid("Invalid table/index name.  Table/index names must be between 3 and 255 characters long, and may contain only the characters a-z, A-Z, 0-9, '_', '-', and '.'"))
	}
	return s
}

// item takes an item that must be there.
func (r *request) item(name string) (it Item) {
	if !r.get(name, &it) {
		r.fail(missing(name))
	}
	return it
}

// choice takes a word that is one of those; the first is the default.
func (r *request) choice(name string, words ...string) string {
	s := words[0]
	if r.get(name, &s) && !slices.Contains(words, s) {
		member := strings.ToLower(name[:1]) + name[1:]
		r.fail(invalid("1 validation error detected: Value '%s' at '%s' failed to satisfy constraint: Member must satisfy enum value set: [%s]", s, member, strings.Join(words, ", ")))
	}
	return s
}

// common takes members that change nothing here: a read is always consistent, and nothing has a
// capacity.
func (r *request) common() {
	var consistent bool
	r.get("ConsistentRead", &consistent)
	r.choice("ReturnConsumedCapacity", "NONE")
	r.choice("ReturnItemCollectionMetrics", "NONE")
}

// place takes what the places of the expressions stand for.
func (r *request) places() names {
	n := names{used: map[string]bool{}}
	hasNames, hasValues := r.get("ExpressionAttributeNames", &n.attrs), r.get("ExpressionAttributeValues", &n.values)
	switch {
	case hasNames && len(n.attrs) == 0:
		r.fail(invalid("ExpressionAttributeNames must not be empty"))
	case hasValues && len(n.values) == 0:
		r.fail(invalid("ExpressionAttributeValues must not be empty"))
	}
	for _, name := range slices.Sorted(maps.Keys(n.attrs)) {
		if !strings.HasPrefix(name, "#") || len(name) < 2 {
			r.fail(invalid(`ExpressionAttributeNames contains invalid key: Syntax error; key: "%s"`, name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(n.values)) {
		if !strings.HasPrefix(name, ":") || len(name) < 2 {
			r.fail(invalid(`ExpressionAttributeValues contains invalid key: Syntax error; key: "%s"`, name))
		}
	}
	return n
}

// conditional takes the condition of a write.
func (r *request) conditional() (c conditional) {
	c.names = r.places()
	c.onFail = r.choice("ReturnValuesOnConditionCheckFailure", "NONE", "ALL_OLD")
	if p := r.expression("ConditionExpression", &c.names); p != nil {
		var err error
		if c.check, err = p.condition(); err != nil {
			r.fail(err)
		}
	}
	return c
}

// changes takes an update expression.
func (r *request) changes(n *names) []change {
	p := r.expression("UpdateExpression", n)
	if p == nil {
		return nil
	}
	all, err := p.update()
	if err != nil {
		r.fail(err)
	}
	return all
}

// expression takes an expression; nil: there is none, or it cannot be read.
func (r *request) expression(name string, n *names) *parser {
	var text string
	if !r.get(name, &text) {
		return nil
	}
	p, err := n.parse(name, text)
	if err != nil {
		r.fail(err)
	}
	return p
}
