package plot

import "testing"

// A rank that several share stands beside their names; files of before there were ranks have
// names alone.
func TestCompareNames(t *testing.T) {
	at := func(rank int) *int { return &rank }
	row := func(queue string, rank *int) compareRow {
		return compareRow{Queue: queue, Admit: plain.admit, Retry: plain.retry, Rank: rank}
	}
	got := names([]compareRow{row("slack", at(1)), row("lifo", at(2)), row("edf", at(2)), row("fifo", nil), row("pie", nil)})
	for i, want := range []string{"slack", "lifo  2=", "edf  2=", "fifo", "pie"} {
		if got[i].Label != want || got[i].Value != float64(5-i) {
			t.Errorf("bar %d is named %q at %g, want %q", i, got[i].Label, got[i].Value, want)
		}
	}
}
