package plot

import (
	"github.com/leasestorm/leasestorm/bench/archive"
)

// Curves is the data of a figure of lines, each with a thin line beside it.
type Curves struct {
	Title, XLabel, YLabel string
	Names                 []string
	Lines, Thin           []archive.Line // Thin[i] belongs to Lines[i]
	ThinIs                string         // legend of the thin lines; "": there are none
	Whole                 bool           // X is an integer
	Dots                  []archive.Line // Dots[i] are the measured points of Lines[i], drawn with their extremes
	Work                  string         // the workload
	Pairs                 bool           // lines 2i and 2i+1 belong together: one colour, the second dashed
}

// NewSweep returns the data of a figure of archive.Goodput.
func NewSweep(cells []archive.Cell) Curves {
	l, pairs := archive.Goodput(cells)
	f := Curves{
		Title: archive.Title(cells), XLabel: "offered load (× capacity)", YLabel: "goodput (× capacity)",
		Names: l.Names, Lines: l.Lines, Thin: l.Thin, Pairs: pairs,
	}
	if !pairs {
		f.ThinIs = "throughput, late work included"
	}
	return f
}
