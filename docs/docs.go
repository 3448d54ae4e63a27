// Package docs has the glossary, for the command that prints it, and the worked scenarios, for the
// playground, and those of published results, for "leasestorm validate --published".
package docs

import (
	"embed"
	"strings"
)

// Scenarios holds the worked scenarios, as examples/scenarios/NAME.toml.
//
//go:embed examples/scenarios/*.toml
var Scenarios embed.FS

// Published holds the scenarios of published results, as examples/published/NAME.toml.
//
//go:embed examples/published/*.toml
var Published embed.FS

//go:embed glossary.md
var glossary string

// Term is one row of the glossary. Symbol and Unit may be empty.
type Term struct {
	Section string // heading of its table
	Name    string
	Symbol  string
	Meaning string
	Unit    string
	Where   string // Go declarations, as package.Name or package.Type.Name
}

// Terms returns the rows of glossary.md in its order.
func Terms() []Term {
	var terms []Term
	section := ""
	for line := range strings.Lines(glossary) {
		line = strings.TrimSpace(line)
		if heading, ok := strings.CutPrefix(line, "## "); ok {
			section = heading
		}
		cells := strings.Split(strings.ReplaceAll(line, "`", ""), "|")
		if len(cells) != 7 || strings.HasPrefix(line, "| ---") || strings.HasPrefix(line, "| term |") {
			continue
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		terms = append(terms, Term{section, cells[1], cells[2], cells[3], cells[4], cells[5]})
	}
	return terms
}
