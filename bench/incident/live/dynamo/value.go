package dynamo

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// Value is an attribute's value. Kind is the name of its type on the wire: S, N, B, BOOL, NULL, SS,
// NS, BS, L or M.
type Value struct {
	Kind string
	Text string // of S, N and B: the text, the number as it is stored, the bytes in base64
	Bool bool
	Set  []string // of SS, NS and BS, in order
	List []Value
	Map  Item
}

// Item is an item of a table: its attributes by name.
type Item map[string]Value

// UnmarshalJSON implements json.Unmarshaler.
func (v *Value) UnmarshalJSON(data []byte) error {
	var one map[string]json.RawMessage
	if err := json.Unmarshal(data, &one); err != nil {
		return serialization(err)
	}
	if len(one) != 1 {
		return invalid("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes")
	}
	for kind, data := range one {
		*v = Value{Kind: kind}
		var err error
		switch kind {
		case "S", "N", "B":
			err = json.Unmarshal(data, &v.Text)
		case "BOOL", "NULL":
			err = json.Unmarshal(data, &v.Bool)
		case "SS", "NS", "BS":
			err = json.Unmarshal(data, &v.Set)
		case "L":
			err = json.Unmarshal(data, &v.List)
		case "M":
			err = json.Unmarshal(data, &v.Map)
		default:
			return invalid("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes")
		}
		if err != nil {
			return serialization(err)
		}
	}
	return v.normalise()
}

// normalise checks a value and gives it the form in which it is stored.
func (v *Value) normalise() (err error) {
	switch v.Kind {
	case "N":
		v.Text, err = stored(v.Text)
	case "B":
		if _, err := base64.StdEncoding.DecodeString(v.Text); err != nil {
			return serialization(err)
		}
	case "NULL":
		if !v.Bool {
			return invalid("One or more parameter values were invalid: Null attribute value types must have the value of true")
		}
	case "SS", "NS", "BS":
		if len(v.Set) == 0 {
			return invalid("One or more parameter values were invalid: An %s set may not be empty", map[string]string{"SS": "string", "NS": "number", "BS": "binary"}[v.Kind])
		}
		if v.Kind == "NS" {
			for i := range v.Set {
				if v.Set[i], err = stored(v.Set[i]); err != nil {
					return err
				}
			}
		}
		slices.Sort(v.Set)
		if len(slices.Compact(slices.Clone(v.Set))) != len(v.Set) {
			return invalid("One or more parameter values were invalid: Input collection %v contains duplicates.", v.Set)
		}
	}
	return err
}

func stored(text string) (string, error) {
	n, err := parseNumber(text)
	if err != nil {
		return "", err
	}
	return formatNumber(n), nil
}

// MarshalJSON implements json.Marshaler.
func (v Value) MarshalJSON() ([]byte, error) {
	var data any = v.Text
	switch v.Kind {
	case "BOOL", "NULL":
		data = v.Bool
	case "SS", "NS", "BS":
		data = v.Set
	case "L":
		data = append([]Value{}, v.List...)
	case "M":
		data = v.Map
		if v.Map == nil {
			data = Item{}
		}
	}
	return json.Marshal(map[string]any{v.Kind: data})
}

// equal reports whether two values are the same. Kinds are never equal to one another.
func (v Value) equal(o Value) bool {
	return v.Kind == o.Kind && v.Text == o.Text && v.Bool == o.Bool && slices.Equal(v.Set, o.Set) &&
		slices.EqualFunc(v.List, o.List, Value.equal) && maps.EqualFunc(v.Map, o.Map, Value.equal)
}

// ordered reports whether the kind has an order.
func ordered(kind string) bool { return kind == "S" || kind == "N" || kind == "B" }

// compare orders two values of one kind that has an order.
func compare(a, b Value) int {
	switch a.Kind {
	case "N":
		x, errX := parseNumber(a.Text)
		y, errY := parseNumber(b.Text)
		if errX == nil && errY == nil {
			return x.Cmp(y)
		}
	case "B":
		x, _ := base64.StdEncoding.DecodeString(a.Text)
		y, _ := base64.StdEncoding.DecodeString(b.Text)
		return slices.Compare(x, y)
	}
	return cmp.Compare(a.Text, b.Text)
}

// begins reports whether a text or bytes begin with others.
func begins(v, with Value) bool {
	if v.Kind != with.Kind {
		return false
	}
	if v.Kind == "B" {
		x, _ := base64.StdEncoding.DecodeString(v.Text)
		y, _ := base64.StdEncoding.DecodeString(with.Text)
		return strings.HasPrefix(string(x), string(y))
	}
	return strings.HasPrefix(v.Text, with.Text)
}

// size is about how many bytes an item takes, by the rules of DynamoDB for texts and numbers.
func (it Item) size() (n int) {
	for name, v := range it {
		n += len(name) + v.size()
	}
	return n
}

func (v Value) size() int {
	switch v.Kind {
	case "N":
		return len(strings.Trim(v.Text, "-0."))/2 + 1
	case "BOOL", "NULL":
		return 1
	case "B":
		return base64.StdEncoding.DecodedLen(len(v.Text))
	}
	n := len(v.Text)
	for _, s := range v.Set {
		n += len(s)
	}
	for _, e := range v.List {
		n += e.size() + 1
	}
	if len(v.Map) > 0 {
		n += v.Map.size() + 3
	}
	return n
}
