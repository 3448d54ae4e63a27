package dynamo

import (
	"maps"
	"slices"
)

// keyCondition is a condition of Query: one partition, and a range of its sort keys.
type keyCondition struct {
	hash  Value
	check node // on the sort key; no op: all of the partition
}

func (s *Store) query(r *request) (any, error) {
	n := r.places()
	forward, limit := true, 0
	var start Item
	r.get("ScanIndexForward", &forward)
	if r.get("Limit", &limit) && limit < 1 {
		r.fail(invalid("1 validation error detected: Value '%d' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1", limit))
	}
	from := r.get("ExclusiveStartKey", &start)
	count := r.choice("Select", "ALL_ATTRIBUTES", "COUNT") == "COUNT"
	var check node
	if p := r.expression("KeyConditionExpression", &n); p != nil {
		var err error
		if check, err = p.condition(); err != nil {
			r.fail(err)
		}
	} else {
		r.fail(invalid("Either the KeyConditions or KeyConditionExpression parameter must be specified in the request."))
	}
	t, err := s.begin(r, &n)
	if err != nil {
		return nil, err
	}
	c, err := t.keyCondition(check)
	if err != nil {
		return nil, err
	}
	if from {
		if _, err := t.key(start); err != nil || !start[t.hash.Name].equal(c.hash) {
			return nil, invalid("The provided starting key is invalid")
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	items := slices.Collect(maps.Values(t.items[c.hash.Text]))
	order := func(a, b Item) int {
		d := compare(a[t.sort.Name], b[t.sort.Name])
		if !forward {
			return -d
		}
		return d
	}
	slices.SortFunc(items, order)
	items = slices.DeleteFunc(items, func(it Item) bool {
		return c.check.op != "" && !c.check.holds(it) || from && order(it, start) <= 0
	})
	out := map[string]any{}
	if limit > 0 && len(items) >= limit {
		items = items[:limit]
		last := items[limit-1]
		out["LastEvaluatedKey"] = t.only(last)
	}
	out["Count"], out["ScannedCount"] = len(items), len(items)
	if !count {
		out["Items"] = append([]Item{}, items...)
	}
	return out, nil
}

// only is an item's key.
func (t *table) only(it Item) Item {
	key := Item{t.hash.Name: it[t.hash.Name]}
	if t.sort.Name != "" {
		key[t.sort.Name] = it[t.sort.Name]
	}
	return key
}

// keyCondition takes a condition apart: the partition's key, and at most one condition on the
// sort key.
func (t *table) keyCondition(n node) (c keyCondition, err error) {
	terms := []node{n}
	if n.op == "and" {
		terms = n.args
	}
	found := false
	for _, term := range terms {
		if len(term.args) == 0 || term.args[0].op != "path" || slices.ContainsFunc(term.args[1:], func(a node) bool { return a.op != "value" }) {
			return c, invalid("Invalid KeyConditionExpression: Invalid operator used in KeyConditionExpression: %s", term.op)
		}
		switch attr := term.args[0].attr; {
		case attr == t.hash.Name && term.op == "=" && !found:
			c.hash, found = term.args[1].value, true
			if c.hash.Kind != t.hash.Kind {
				return c, invalid("One or more parameter values were invalid: Condition parameter type does not match schema type")
			}
		case attr == t.hash.Name:
			return c, invalid("Query key condition not supported")
		case attr != t.sort.Name || c.check.op != "":
			return c, invalid("Query condition missed key schema element: %s", t.hash.Name)
		case !slices.Contains([]string{"=", "<", "<=", ">", ">=", "between", "begins_with"}, term.op):
			return c, invalid("Invalid operator used in KeyConditionExpression: %s", term.op)
		default:
			for _, a := range term.args[1:] {
				if a.value.Kind != t.sort.Kind {
					return c, invalid("One or more parameter values were invalid: Condition parameter type does not match schema type")
				}
			}
			c.check = term
		}
	}
	if !found {
		return c, invalid("Query condition missed key schema element: %s", t.hash.Name)
	}
	return c, nil
}
