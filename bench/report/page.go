// Package report makes one page, report.html, of a result folder: what happened, the curves of all
// contestants, tables, the host, and the commands that make the results again. The page is one file
// that opens offline and asks the network for nothing. It is made from files and only from them.
package report

import (
	"encoding/base64"
	"math"
	"strconv"

	"github.com/leasestorm/leasestorm/bench/host"
)

// Page is what a page shows.
type Page struct {
	Title     string
	Summary   []string // what happened, a sentence each
	Alerts    []string // why results here should not be trusted
	Damaged   []string // what could not be read
	Sections  []Section
	Host      []Fact
	Findings  []host.Finding
	Commands  []Fact
	Scenarios []Fact
}

// Fact is a name and what is to be said of it.
type Fact struct{ Name, Text string }

// Section is one experiment, or one study's figure and table.
type Section struct {
	Name, Title string
	Text        []string
	Verdicts    []Verdict
	Hint        string
	Pre         string // text in columns
	Figures     []Figure
	Tables      []Table

	Names []string // of the lines of all charts
	Most  int      // lines that are shown at first; 0: all
	Parts []Part
}

// Verdict is what became of a contestant.
type Verdict struct {
	Name, Text string
	Class      string // good, bad or empty
}

// Part holds charts under a common heading.
type Part struct {
	Title  string  `json:"title,omitempty"`
	Charts []Chart `json:"charts,omitempty"`
	Heats  []Heat  `json:"heats,omitempty"`
}

// Chart is a chart of lines over a common x. charts.js says what its fields mean.
type Chart struct {
	Title  string   `json:"title"`
	XLabel string   `json:"xLabel"`
	XUnit  string   `json:"xUnit,omitempty"`
	YLabel string   `json:"yLabel"`
	X      Numbers  `json:"x"`
	Series []Series `json:"series"`
	Band   *Band    `json:"band,omitempty"`
	Marks  []Mark   `json:"marks,omitempty"`
	Log    bool     `json:"log,omitempty"`
	Nines  bool     `json:"nines,omitempty"`
	Fit    bool     `json:"fit,omitempty"`
}

// Series is a line, and the extremes over the runs if there are several.
type Series struct {
	Name  string  `json:"name"`
	Label string  `json:"label,omitempty"` // in CSV; empty: the name
	Key   int     `json:"key"`             // the contestant's number
	Y     Numbers `json:"y"`
	Low   Numbers `json:"low,omitempty"`
	High  Numbers `json:"high,omitempty"`
	Thin  bool    `json:"thin,omitempty"`
}

// Band is a shaded range of x.
type Band struct {
	From float64 `json:"from"`
	To   float64 `json:"to"`
	Text string  `json:"text"`
}

// Mark is a vertical line. With a key it belongs to a contestant.
type Mark struct {
	At   float64 `json:"at"`
	Text string  `json:"text"`
	Key  *int    `json:"key,omitempty"`
}

// Heat is a map of counts over time and a value on a logarithmic axis.
type Heat struct {
	Title     string  `json:"title"`
	Key       int     `json:"key"`
	XLabel    string  `json:"xLabel"`
	YLabel    string  `json:"yLabel"`
	From      float64 `json:"from"` // x of the first column
	Step      float64 `json:"step"`
	Low       float64 `json:"low"` // value at the bottom
	PerDecade int     `json:"perDecade"`
	Rows      int     `json:"rows"`
	// Columns has a byte per row: 0 for none, else 16·(1 + log2 of the count).
	Columns [][]byte `json:"columns"`
}

// Figure is a drawing that bench/plot made.
type Figure struct {
	Title, File string
	SVG         []byte
}

// Table is a table that sorts.
type Table struct {
	Title   string
	Columns []Column
	Rows    [][]Entry
}

// Column is the head of a column.
type Column struct {
	Name string
	Text bool // its entries are words
}

// Entry is a cell of a table.
type Entry struct {
	Text   string
	Class  string
	Number bool // Value is what it sorts by
	Value  string
}

// word is an entry of words.
func word(text string) Entry { return Entry{Text: text, Class: "text"} }

// remark is an entry that may be long.
func remark(text string) Entry { return Entry{Text: text, Class: "text long"} }

// number is an entry that sorts by x; nil sorts last.
func number(x *float64, text string) Entry {
	e := Entry{Text: text, Number: true}
	if x != nil {
		e.Value = strconv.FormatFloat(*x, 'g', -1, 64)
	}
	return e
}

// Numbers are written with five digits, and as null where there is no value.
type Numbers []float64

// MarshalJSON implements json.Marshaler.
func (n Numbers) MarshalJSON() ([]byte, error) {
	b := []byte{'['}
	for i, x := range n {
		if i > 0 {
			b = append(b, ',')
		}
		if math.IsNaN(x) || math.IsInf(x, 0) {
			b = append(b, "null"...)
			continue
		}
		b = strconv.AppendFloat(b, x, 'g', 5, 64)
	}
	return append(b, ']'), nil
}

// dataURL is a figure inside a page.
func dataURL(svg []byte) string {
	return "data:image/svg+xml;base64," + base64.StdEncoding.EncodeToString(svg)
}
