package report

import (
	"cmp"
	"maps"
	"slices"
	"strconv"

	"github.com/leasestorm/leasestorm/bench/archive"
	"github.com/leasestorm/leasestorm/bench/internal/show"
)

// callTables are, of runs against a service, how their calls ended, and who made them if several agents did.
func callTables(all []archive.Contestant) []Table {
	ends := Table{Title: "How calls ended", Columns: []Column{{"contestant", true}, {"seed", false}, {"calls ended", true}, {"calls", false}}}
	agents := Table{Title: "Agents", Columns: []Column{
		{"contestant", true}, {"seed", false}, {"agent", true}, {"host", true}, {"droplets", false}, {"requests", false},
		{"clock offset (ms)", false}, {"± (ms)", false}, {"slip p99.9 (ms)", false}, {"lag p99.9 (ms)", false}, {"part", true},
	}}
	for _, c := range all {
		for _, cell := range c.Cells {
			t := cell.Manifest.Result.Target
			if t == nil {
				continue
			}
			seed := float64(cell.Manifest.Result.Seed)
			head := []Entry{word(c.Name), number(&seed, strconv.FormatUint(cell.Manifest.Result.Seed, 10))}
			row := func(text string, n uint64) {
				ends.Rows = append(ends.Rows, append(slices.Clone(head), word(text), whole(n)))
			}
			for _, kind := range slices.Sorted(maps.Keys(t.Kinds)) {
				row(kind, t.Kinds[kind])
			}
			for _, status := range slices.Sorted(maps.Keys(t.Statuses)) {
				row("answered: status "+status, t.Statuses[status])
			}
			for _, a := range t.Agents {
				agents.Rows = append(agents.Rows, append(slices.Clone(head), word(a.Name), word(a.Host), whole(uint64(a.Droplets.To-a.Droplets.From)), whole(a.Requests),
					millis(a.Offset), millis(a.Error), millis(a.Slip.P999), millis(a.Lag.P999), word(cmp.Or(a.Lost, "whole"))))
			}
		}
	}
	return slices.DeleteFunc([]Table{ends, agents}, func(t Table) bool { return len(t.Rows) == 0 })
}

func whole(n uint64) Entry {
	x := float64(n)
	return number(&x, show.Count(n))
}

func millis(x *float64) Entry { return number(x, show.Dash(x, "%.2f")) }
