package cli

import (
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

// bars shows a suite's progress: a bar a cell with the time left on a terminal, a line a
// cell elsewhere. It draws once a second, for it runs beside what is measured.
type bars struct {
	out   *os.File
	draw  *mpb.Progress // nil: plain lines
	start time.Time
}

func newBars(out *os.File) *bars {
	b := &bars{out: out, start: time.Now()}
	if term.IsTerminal(int(out.Fd())) {
		b.draw = mpb.New(mpb.WithOutput(out), mpb.WithRefreshRate(time.Second), mpb.WithWidth(40))
	}
	return b
}

// Cell implements study.Bars.
func (b *bars) Cell(i, n int, name string, estimate, rest time.Duration) func(string) {
	label := fmt.Sprintf("[%d/%d] %s", i+1, n, name)
	if b.draw == nil {
		after := ""
		if i < n-1 {
			after = fmt.Sprintf(", and %v for the %d after it", rest.Round(time.Second), n-i-1)
		}
		fmt.Fprintf(b.out, "%s: about %v%s\n", label, estimate.Round(100*time.Millisecond), after)
		return func(text string) { fmt.Fprintf(b.out, "%s: %s\n", label, text) }
	}
	var mu sync.Mutex
	result := ""
	total := max(1, int64(estimate/time.Second))
	began := time.Now()
	bar := b.draw.AddBar(total, mpb.PrependDecorators(decor.Name(label, decor.WCSyncSpaceR)),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string {
			mu.Lock()
			defer mu.Unlock()
			if result != "" {
				return result
			}
			return fmt.Sprintf("%v left, %d cells after it: %v", max(0, estimate-time.Since(began)).Round(time.Second), n-i-1, rest.Round(time.Second))
		})))
	stop := make(chan struct{})
	go func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				bar.SetCurrent(min(total-1, int64(time.Since(began)/time.Second)))
			case <-stop:
				return
			}
		}
	}()
	return func(text string) {
		close(stop)
		mu.Lock()
		result = text
		mu.Unlock()
		bar.SetTotal(-1, true)
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
	if term.IsTerminal(int(out.Fd())) {
		b.draw = mpb.New(mpb.WithOutput(out), mpb.WithRefreshRate(time.Second), mpb.WithWidth(60))
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
