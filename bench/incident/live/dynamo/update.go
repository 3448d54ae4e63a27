package dynamo

import (
	"maps"
	"strings"
)

// change is one action of an update expression.
type change struct {
	clause string // set, remove or add
	attr   string
	value  node // of set and add
}

// update reads an update expression to its end.
func (p *parser) update() (all []change, err error) {
	seen, attrs := map[string]bool{}, map[string]bool{}
	for p.peek() != "" {
		clause, ok := p.take("set", "remove", "add", "delete")
		switch {
		case !ok:
			return nil, p.wrong()
		case clause == "delete":
			return nil, unsupported("DELETE in an update expression")
		case seen[clause]:
			return nil, invalid(`Invalid %s: The "%s" section can only be used once in an update expression;`, p.kind, strings.ToUpper(clause))
		}
		seen[clause] = true
		for {
			c, err := p.change(clause)
			if err != nil {
				return nil, err
			}
			if attrs[c.attr] {
				return nil, invalid("Invalid %s: Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [%s], path two: [%s]", p.kind, c.attr, c.attr)
			}
			attrs[c.attr] = true
			all = append(all, c)
			if _, more := p.take(","); !more {
				break
			}
		}
	}
	return all, nil
}

// change reads one action.
func (p *parser) change(clause string) (change, error) {
	path, err := p.path()
	c := change{clause: clause, attr: path.attr}
	if err != nil {
		return c, err
	}
	switch clause {
	case "set":
		if err := p.want("="); err != nil {
			return c, err
		}
		c.value, err = p.sum()
	case "add":
		c.value, err = p.operand()
		switch {
		case err != nil:
		case c.value.op != "value":
			err = p.wrong()
		case strings.HasSuffix(c.value.value.Kind, "S") && len(c.value.value.Kind) == 2:
			err = unsupported("ADD of a set")
		case c.value.value.Kind != "N":
			err = p.operandType("ADD", c.value.value)
		}
	}
	return c, err
}

// sum reads what an attribute is set to: an operand, or the sum or difference of two.
func (p *parser) sum() (node, error) {
	left, err := p.addend()
	if err != nil {
		return left, err
	}
	op, ok := p.take("+", "-")
	if !ok {
		return left, nil
	}
	right, err := p.addend()
	for _, n := range []node{left, right} {
		if err == nil && n.op == "value" && n.value.Kind != "N" {
			err = p.operandType(op, n.value)
		}
	}
	return node{op: op, args: []node{left, right}}, err
}

// addend reads an operand or if_not_exists.
func (p *parser) addend() (node, error) {
	if len(p.tokens) > 1 && p.tokens[0] == "if_not_exists" && p.tokens[1] == "(" {
		p.tokens = p.tokens[1:]
		args, err := p.list(p.operand)
		switch {
		case err != nil:
			return node{}, err
		case len(args) != 2:
			return node{}, invalid("Invalid %s: Incorrect number of operands for operator or function; operator or function: if_not_exists, number of operands: %d", p.kind, len(args))
		case args[0].op != "path":
			return node{}, invalid("Invalid %s: Operator or function requires a document path; operator or function: if_not_exists", p.kind)
		}
		return node{op: "if_not_exists", args: args}, nil
	}
	return p.operand()
}

// valueIn evaluates what an attribute is set to, on the item before the update.
func (n node) valueIn(it Item) (Value, error) {
	switch n.op {
	case "if_not_exists":
		if v, ok := n.args[0].of(it); ok {
			return v, nil
		}
		return n.args[1].valueIn(it)
	case "+", "-":
		left, err := n.args[0].valueIn(it)
		if err != nil {
			return Value{}, err
		}
		right, err := n.args[1].valueIn(it)
		if err != nil {
			return Value{}, err
		}
		return arithmetic(left, right, n.op == "-")
	}
	v, ok := n.of(it)
	if !ok {
		return Value{}, invalid("The provided expression refers to an attribute that does not exist in the item")
	}
	return v, nil
}

// updated is an item after the changes. The item itself stays as it is.
func updated(it Item, changes []change) (Item, error) {
	next := maps.Clone(it)
	for _, c := range changes {
		switch c.clause {
		case "set":
			v, err := c.value.valueIn(it)
			if err != nil {
				return nil, err
			}
			next[c.attr] = v
		case "remove":
			delete(next, c.attr)
		case "add":
			old, ok := it[c.attr]
			if !ok {
				old = Value{Kind: "N", Text: "0"}
			}
			v, err := arithmetic(old, c.value.value, false)
			if err != nil {
				return nil, err
			}
			next[c.attr] = v
		}
	}
	return next, nil
}
