package dynamo

import (
	"regexp"
	"slices"
	"strings"
)

// names are what an expression's places stand for, and which of them some expression has used.
type names struct {
	attrs  map[string]string // by #name
	values map[string]Value  // by :value
	used   map[string]bool
}

// unused is the error for a name or a value that no expression of the request uses.
func (n *names) unused() error {
	for name := range n.attrs {
		if !n.used[name] {
			return invalid("Value provided in ExpressionAttributeNames unused in expressions: keys: {%s}", name)
		}
	}
	for name := range n.values {
		if !n.used[name] {
			return invalid("Value provided in ExpressionAttributeValues unused in expressions: keys: {%s}", name)
		}
	}
	return nil
}

// node is a part of an expression.
type node struct {
	op    string // "path", "value", a comparator, "and", "or", "not", "+", "-", or a function's name
	attr  string // of a path
	value Value  // of a value
	args  []node
}

// parser reads one expression.
type parser struct {
	kind   string // for messages: ConditionExpression, UpdateExpression, …
	tokens []string
	names  *names
}

var token = regexp.MustCompile(`^\s*([#:]?[A-Za-z0-9_]+|<>|<=|>=|[=<>+\-(),.\[\]])`)

// parse makes a parser of an expression's text.
func (n *names) parse(kind, text string) (*parser, error) {
	p := &parser{kind: kind, names: n}
	rest := strings.TrimRight(text, " \t\r\n")
	if rest == "" {
		return nil, invalid("Invalid %s: The expression can not be empty;", kind)
	}
	for rest != "" {
		m := token.FindStringSubmatch(rest)
		if m == nil {
			return nil, invalid("Invalid %s: Syntax error; token: %q", kind, strings.TrimLeft(rest, " ")[:1])
		}
		p.tokens = append(p.tokens, m[1])
		rest = rest[len(m[0]):]
	}
	return p, nil
}

// peek is the next token; "": there is none.
func (p *parser) peek() string {
	if len(p.tokens) == 0 {
		return ""
	}
	return p.tokens[0]
}

// take takes the next token if it is one of those, which are in lower case.
func (p *parser) take(any ...string) (string, bool) {
	if t := strings.ToLower(p.peek()); t != "" && slices.Contains(any, t) {
		p.tokens = p.tokens[1:]
		return t, true
	}
	return "", false
}

func (p *parser) wrong() error {
	if p.peek() == "" {
		return invalid("Invalid %s: Syntax error; token: <EOF>", p.kind)
	}
	return invalid("Invalid %s: Syntax error; token: %q", p.kind, p.peek())
}

// want takes a token that must come.
func (p *parser) want(t string) error {
	if _, ok := p.take(t); !ok {
		return p.wrong()
	}
	return nil
}

// condition reads a condition to its end.
func (p *parser) condition() (node, error) {
	n, err := p.or()
	if err == nil && p.peek() != "" {
		err = p.wrong()
	}
	return n, err
}

func (p *parser) or() (node, error) { return p.chain("or", p.and) }

func (p *parser) and() (node, error) { return p.chain("and", p.not) }

func (p *parser) chain(op string, next func() (node, error)) (node, error) {
	n, err := next()
	for err == nil {
		if _, more := p.take(op); !more {
			return n, nil
		}
		var right node
		right, err = next()
		n = node{op: op, args: []node{n, right}}
	}
	return n, err
}

func (p *parser) not() (node, error) {
	if _, ok := p.take("not"); ok {
		n, err := p.not()
		return node{op: "not", args: []node{n}}, err
	}
	if _, ok := p.take("("); ok {
		n, err := p.or()
		if err == nil {
			err = p.want(")")
		}
		return n, err
	}
	return p.term()
}

// tests are the functions that are conditions, with the number of their arguments.
var tests = map[string]int{"attribute_exists": 1, "attribute_not_exists": 1, "begins_with": 2}

// elsewhere are functions of DynamoDB that this store does not have.
var elsewhere = []string{"attribute_type", "contains", "size", "list_append"}

// term reads a comparison or a function.
func (p *parser) term() (node, error) {
	if f, ok := p.function(); ok {
		count, isTest := tests[f]
		if !isTest {
			return node{}, p.noFunction(f)
		}
		args, err := p.list(p.operand)
		switch {
		case err != nil:
			return node{}, err
		case len(args) != count:
			return node{}, invalid("Invalid %s: Incorrect number of operands for operator or function; operator or function: %s, number of operands: %d", p.kind, f, len(args))
		case args[0].op != "path":
			return node{}, invalid("Invalid %s: Operator or function requires a document path; operator or function: %s", p.kind, f)
		}
		if f == "begins_with" && args[1].op == "value" && args[1].value.Kind != "S" && args[1].value.Kind != "B" {
			return node{}, p.operandType(f, args[1].value)
		}
		return node{op: f, args: args}, nil
	}
	left, err := p.operand()
	if err != nil {
		return node{}, err
	}
	if _, ok := p.take("between"); ok {
		return p.between(left)
	}
	if _, ok := p.take("in"); ok {
		args, err := p.list(p.operand)
		return node{op: "in", args: append([]node{left}, args...)}, err
	}
	op, ok := p.take("=", "<>", "<", "<=", ">", ">=")
	if !ok {
		return node{}, p.wrong()
	}
	right, err := p.operand()
	if err != nil {
		return node{}, err
	}
	for _, n := range []node{left, right} {
		if n.op == "value" && op != "=" && op != "<>" && !ordered(n.value.Kind) {
			return node{}, p.operandType(op, n.value)
		}
	}
	return node{op: op, args: []node{left, right}}, nil
}

func (p *parser) between(left node) (node, error) {
	from, err := p.operand()
	if err != nil {
		return node{}, err
	}
	if err := p.want("and"); err != nil {
		return node{}, err
	}
	to, err := p.operand()
	if err != nil {
		return node{}, err
	}
	if from.op == "value" && to.op == "value" {
		switch {
		case from.value.Kind != to.value.Kind:
			return node{}, invalid("Invalid %s: The BETWEEN operator requires same data type for lower and upper bounds", p.kind)
		case ordered(from.value.Kind) && compare(from.value, to.value) > 0:
			return node{}, invalid("Invalid %s: The BETWEEN operator requires upper bound to be greater than or equal to lower bound", p.kind)
		}
	}
	return node{op: "between", args: []node{left, from, to}}, nil
}

func (p *parser) operandType(op string, v Value) error {
	return invalid("Invalid %s: Incorrect operand type for operator or function; operator or function: %s, operand type: %s", p.kind, op, v.Kind)
}

func (p *parser) noFunction(f string) error {
	if slices.Contains(elsewhere, f) {
		return unsupported("the function " + f)
	}
	return invalid("Invalid %s: Invalid function name; function: %s", p.kind, f)
}

// function takes a function's name, if one is next.
func (p *parser) function() (string, bool) {
	if len(p.tokens) < 2 || p.tokens[1] != "(" || strings.ContainsAny(p.tokens[0][:1], "#:(") {
		return "", false
	}
	f := p.tokens[0]
	if l := strings.ToLower(f); l == "not" || l == "and" || l == "or" {
		return "", false
	}
	p.tokens = p.tokens[1:]
	return f, true
}

// list reads arguments in parentheses.
func (p *parser) list(next func() (node, error)) (all []node, err error) {
	if err := p.want("("); err != nil {
		return nil, err
	}
	for {
		n, err := next()
		if err != nil {
			return nil, err
		}
		all = append(all, n)
		if _, more := p.take(","); !more {
			return all, p.want(")")
		}
	}
}

var word = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*$`)

// operand reads a path or a value.
func (p *parser) operand() (node, error) {
	if f, ok := p.function(); ok {
		return node{}, p.noFunction(f)
	}
	if t := p.peek(); strings.HasPrefix(t, ":") {
		p.tokens = p.tokens[1:]
		v, ok := p.names.values[t]
		if !ok {
			return node{}, invalid("Invalid %s: An expression attribute value used in expression is not defined; attribute value: %s", p.kind, t)
		}
		p.names.used[t] = true
		return node{op: "value", value: v}, nil
	}
	return p.path()
}

// path reads an attribute's name.
func (p *parser) path() (node, error) {
	t := p.peek()
	n := node{op: "path", attr: t}
	switch {
	case strings.HasPrefix(t, "#"):
		attr, ok := p.names.attrs[t]
		if !ok {
			return node{}, invalid("Invalid %s: An expression attribute name used in the document path is not defined; attribute name: %s", p.kind, t)
		}
		p.names.used[t] = true
		n.attr = attr
	case !word.MatchString(t):
		return node{}, p.wrong()
	case reserved(t):
		return node{}, invalid("Invalid %s: Attribute name is a reserved keyword; reserved keyword: %s", p.kind, t)
	}
	p.tokens = p.tokens[1:]
	if next := p.peek(); next == "." || next == "[" {
		return node{}, unsupported("a path within an attribute (" + t + strings.Join(p.tokens[:min(2, len(p.tokens))], "") + ")")
	}
	return n, nil
}

// of is the value of an operand in an item.
func (n node) of(it Item) (Value, bool) {
	if n.op == "value" {
		return n.value, true
	}
	v, ok := it[n.attr]
	return v, ok
}

// holds evaluates a condition on an item; nil: there is no item.
func (n node) holds(it Item) bool {
	switch n.op {
	case "and":
		return n.args[0].holds(it) && n.args[1].holds(it)
	case "or":
		return n.args[0].holds(it) || n.args[1].holds(it)
	case "not":
		return !n.args[0].holds(it)
	}
	left, ok := n.args[0].of(it)
	switch n.op {
	case "attribute_exists":
		return ok
	case "attribute_not_exists":
		return !ok
	case "in":
		return ok && slices.ContainsFunc(n.args[1:], func(a node) bool {
			v, there := a.of(it)
			return there && left.equal(v)
		})
	case "between":
		return compared(">=", n.args[0], n.args[1], it) && compared("<=", n.args[0], n.args[2], it)
	case "begins_with":
		with, there := n.args[1].of(it)
		return ok && there && begins(left, with)
	}
	return compared(n.op, n.args[0], n.args[1], it)
}

// compared compares two operands. What is not there equals nothing, and is neither less nor more
// than something.
func compared(op string, l, r node, it Item) bool {
	a, okA := l.of(it)
	b, okB := r.of(it)
	there := okA && okB
	switch op {
	case "=":
		return there && a.equal(b)
	case "<>":
		return !there || !a.equal(b)
	}
	if !there || a.Kind != b.Kind || !ordered(a.Kind) {
		return false
	}
	c := compare(a, b)
	switch op {
	case "<":
		return c < 0
	case "<=":
		return c <= 0
	case ">":
		return c > 0
	}
	return c >= 0
}
