package cli

import (
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/live"
)

// bars shows a suite's progress: a bar a cell with the time left, and its run in a line below, on a
// terminal; plain lines elsewhere.
type bars struct {
	out   *os.File
	draw  *mpb.Progress // nil: plain lines
	hub   *live.Hub     // nil: nobody listens
	start time.Time
}

func newBars(out *os.File, hub *live.Hub) *bars {
	return &bars{out: out, draw: draws(out), hub: hub, start: time.Now()}
}

// Cell implements study.Bars.
func (b *bars) Cell(i, n int, name string, estimate, rest time.Duration) (bench.Live, func(string)) {
	began := time.Now()
	r := newRow(fmt.Sprintf("[%d/%d] %s", i+1, n, name), b.out)
	r.left = func() string {
		return fmt.Sprintf("%v left, %d cells after it: %v", max(0, estimate-time.Since(began)).Round(time.Second), n-i-1, rest.Round(time.Second))
	}
	r.share = func() float64 { return time.Since(began).Seconds() / max(1, estimate.Seconds()) }
	if b.draw == nil {
		after := ""
		if i < n-1 {
			after = fmt.Sprintf(", and %v for the %d after it", rest.Round(time.Second), n-i-1)
		}
		fmt.Fprintf(b.out, "%s: about %v%s\n", r.label, estimate.Round(100*time.Millisecond), after)
	}
	r.show(b.draw)
	see := func(a bench.About) func(bench.Look) {
		a.Name = name
		return both(b.hub.Live(a), r.line.Begin(a))
	}
	return see, func(text string) {
		r.end(text)
		if b.draw == nil {
			fmt.Fprintf(b.out, "%s: %s\n", r.label, text)
		}
	}
}

// Note implements study.Bars.
func (b *bars) Note(text string) {
	if b.draw == nil {
		fmt.Fprintln(b.out, text)
		return
	}
	fmt.Fprintln(b.draw, text)
}

func (b *bars) close() {
	if b.draw != nil {
		b.draw.Wait()
	}
	fmt.Fprintf(b.out, "after %v\n", time.Since(b.start).Round(time.Second))
}

// bar shows how far a count is: a bar on a terminal, a line every ten seconds elsewhere.
type bar struct {
	out  *os.File
	draw *mpb.Progress
	bar  *mpb.Bar
	what string
	mu   sync.Mutex
	next time.Time
}

func newBar(out *os.File, what string) *bar {
	b := &bar{out: out, what: what, next: time.Now().Add(10 * time.Second)}
	if b.draw = draws(out); b.draw != nil {
		b.bar = b.draw.AddBar(1, mpb.PrependDecorators(decor.CountersNoUnit("%d of %d "+what)), mpb.AppendDecorators(decor.AverageETA(decor.ET_STYLE_GO)))
	}
	return b
}

// set shows that so many are done of so many.
func (b *bar) set(done, of int) {
	if b.draw != nil {
		b.bar.SetTotal(int64(of), false)
		b.bar.SetCurrent(int64(done))
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if time.Now().After(b.next) {
		b.next = time.Now().Add(10 * time.Second)
		fmt.Fprintf(b.out, "%d of %d %s\n", done, of, b.what)
	}
}

func (b *bar) close() {
	if b.draw != nil {
		b.bar.SetTotal(-1, true)
		b.draw.Wait()
	}
}
