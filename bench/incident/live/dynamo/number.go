package dynamo

import (
	"math/big"
	"regexp"
	"strconv"
	"strings"
)

// numeral is what a number may look like.
var numeral = regexp.MustCompile(`^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,9})?$`)

const (
	mostDigits    = 38
	leastExponent = -130
	mostExponent  = 125
)

// parseNumber reads a number. An error is a ValidationException.
func parseNumber(text string) (*big.Rat, error) {
	text = strings.TrimSpace(text)
	if !numeral.MatchString(text) {
		if text == "" {
			return nil, invalid("The parameter cannot be converted to a numeric value")
		}
		return nil, invalid("The parameter cannot be converted to a numeric value: %s", text)
	}
	digits, exponent := text, 0
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		digits = text[:i]
		exponent, _ = strconv.Atoi(text[i+1:]) // the pattern has at most nine digits
	}
	digits = strings.TrimLeft(digits, "+-")
	whole, fraction, _ := strings.Cut(digits, ".")
	all := strings.TrimLeft(whole+fraction, "0")
	magnitude := exponent + len(strings.TrimLeft(whole, "0")) - 1 // of the first digit that is not 0
	if strings.Trim(whole, "0") == "" {
		magnitude = exponent - 1 - (len(fraction) - len(strings.TrimLeft(fraction, "0")))
	}
	switch significant := strings.TrimRight(all, "0"); {
	case significant == "":
		return new(big.Rat), nil
	case len(significant) > mostDigits:
		return nil, invalid("Attempting to store more than 38 significant digits in a Number")
	case magnitude > mostExponent:
		return nil, invalid("Number overflow. Attempting to store a number with magnitude larger than supported range")
	case magnitude < leastExponent:
		return nil, invalid("Number underflow. Attempting to store a number with magnitude smaller than supported range")
	}
	n, ok := new(big.Rat).SetString(text)
	if !ok {
		return nil, invalid("The parameter cannot be converted to a numeric value: %s", text)
	}
	return n, nil
}

// formatNumber writes a number as DynamoDB does: without exponent and without zeros at the ends.
func formatNumber(n *big.Rat) string {
	text := n.FloatString(mostDigits - leastExponent)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}

// arithmetic is a sum or a difference, which must be a number that can be stored.
func arithmetic(a, b Value, minus bool) (Value, error) {
	if a.Kind != "N" || b.Kind != "N" {
		return Value{}, invalid("An operand in the update expression has an incorrect data type")
	}
	x, err := parseNumber(a.Text)
	if err != nil {
		return Value{}, err
	}
	y, err := parseNumber(b.Text)
	if err != nil {
		return Value{}, err
	}
	if minus {
		x.Sub(x, y)
	} else {
		x.Add(x, y)
	}
	sum := formatNumber(x)
	if _, err := parseNumber(sum); err != nil {
		return Value{}, err
	}
	return Value{Kind: "N", Text: sum}, nil
}
