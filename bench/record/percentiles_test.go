package record

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"
)

// The printer writes what hdr-histogram-js 3.0.1 does, to the byte, for the values
// i³/4·10^6 + 1 µs, i = 1 … 20,000.
func TestWritePercentiles(t *testing.T) {
	want, err := os.ReadFile("testdata/hdr-histogram-js-3.0.1.hgrm")
	if err != nil {
		t.Fatal(err)
	}
	l := NewLatency()
	for i := int64(1); i <= 20_000; i++ {
		l.Record(time.Duration(i*i*i/4_000_000+1) * time.Microsecond)
	}
	var got bytes.Buffer
	if err := l.WritePercentiles(&got); err != nil {
		t.Fatal(err)
	}
	g, w := strings.Split(got.String(), "\n"), strings.Split(string(want), "\n")
	for i := range max(len(g), len(w)) {
		if i >= len(g) || i >= len(w) || g[i] != w[i] {
			t.Fatalf("line %d of %d:\n got %q\nwant %q", i+1, len(w), strings.Join(g[min(i, len(g)):], "\n"), strings.Join(w[min(i, len(w)):], "\n"))
		}
	}
}

func TestWritePercentilesOfNothing(t *testing.T) {
	var got bytes.Buffer
	if err := NewLatency().WritePercentiles(&got); err != nil || !strings.Contains(got.String(), "Total count    =            0]") {
		t.Errorf("%v\n%s", err, &got)
	}
}
