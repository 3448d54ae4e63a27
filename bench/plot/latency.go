package plot

import "github.com/leasestorm/leasestorm/bench/archive"

// NewLatency returns the data of a figure of archive.Latencies.
func NewLatency(cells []archive.Cell, class, phase string) (Curves, error) {
	l, err := archive.Latencies(cells, class, phase)
	return Curves{
		Title: archive.Title(cells) + "; " + class + " served after the return", XLabel: "percentile (%)", YLabel: "latency (ms)",
		ThinIs: "from the offer, not from birth", Names: l.Names, Lines: l.Lines, Thin: l.Thin,
	}, err
}
