package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/leasestorm/leasestorm/bench/scenario"
)

// decimal is a flag's number as people write it: 010 is ten, where the flag package reads base 8.
type decimal struct{ pflag.Value }

func (d decimal) Set(text string) error {
	number, ok := scenario.Decimal(text)
	if !ok {
		return fmt.Errorf("%q is not a decimal number", text)
	}
	sign := ""
	if strings.HasPrefix(number, "-") || strings.HasPrefix(number, "+") {
		sign, number = number[:1], number[1:]
	}
	for len(number) > 1 && number[0] == '0' && number[1] >= '0' && number[1] <= '9' {
		number = number[1:]
	}
	return d.Value.Set(strings.TrimPrefix(sign, "+") + number)
}

// decimals makes all numbers of a command and of those below it decimal.
func decimals(cmd *cobra.Command) {
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		switch f.Value.Type() {
		case "int", "uint64", "float64":
			f.Value = decimal{f.Value}
		}
	})
	for _, c := range cmd.Commands() {
		decimals(c)
	}
}

// contestantList is a flag's list of contestants. The first time that it is set it takes the
// place of the default, and then it grows.
type contestantList struct {
	all *[]string
	set bool
}

func (l *contestantList) Type() string   { return "strings" }
func (l *contestantList) String() string { return "[" + strings.Join(*l.all, ",") + "]" }

func (l *contestantList) Set(text string) error {
	if !l.set {
		*l.all, l.set = nil, true
	}
	*l.all = append(*l.all, splitContestants(text)...)
	return nil
}

// splitContestants cuts a list of contestants at its commas, but for those between two parameters
// of one part: what follows such a comma has its first "=" before any ":", "+" or "/", and no
// contestant begins so.
func splitContestants(text string) []string {
	var all []string
	for piece := range strings.SplitSeq(text, ",") {
		if i := strings.IndexAny(piece, "=:+/"); len(all) > 0 && i >= 0 && piece[i] == '=' {
			all[len(all)-1] += "," + piece
			continue
		}
		all = append(all, strings.TrimSpace(piece))
	}
	return all
}

// contestantsFlag is --contestants, with its default in all.
func contestantsFlag(cmd *cobra.Command, all *[]string, usage string) {
	cmd.Flags().Var(&contestantList{all: all}, "contestants", usage+": queue, queue/admit or queue/admit/retry, with commas between them, as in fifo,slack:theta=0.3,guard=0")
}
