package cli

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/live"
	"github.com/leasestorm/leasestorm/bench/metrics"
)

// drawable reports whether bars and lines can be drawn over one another: a terminal that moves its
// cursor. Elsewhere there are plain lines.
func drawable(out *os.File) bool {
	return term.IsTerminal(int(out.Fd())) && os.Getenv("TERM") != "dumb"
}

// draws is a terminal that is drawn on once a second, for that runs beside what is measured; nil: it
// cannot be drawn on.
func draws(out *os.File) *mpb.Progress {
	if !drawable(out) {
		return nil
	}
	return mpb.New(mpb.WithOutput(out), mpb.WithRefreshRate(time.Second), mpb.WithWidth(40))
}

// view shows the runs of a command while they go on: on the terminal, and to whom --listen serves.
type view struct {
	out    *os.File
	mu     sync.Mutex
	draw   *mpb.Progress // nil: plain lines, or no run has begun
	hub    *live.Hub     // nil: no --listen
	server *live.Server
}

// open makes the view, and begins to listen if it was asked for. Whoever runs closes it.
func (f *shared) open(cmd *cobra.Command) error {
	f.view = &view{out: os.Stderr}
	if !cmd.Flags().Changed("listen") {
		return nil
	}
	if _, err := metrics.Loopback(f.listen); err != nil {
		return usage(fmt.Errorf("--listen: %w", err))
	}
	hub := live.NewHub()
	server, err := hub.Listen(cmd.Context(), f.listen)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	f.view.hub, f.view.server = hub, server
	fmt.Fprintf(os.Stderr, "live: http://%s/ is the page, /metrics is for Prometheus, /events has the steps\n", server.Addr())
	return nil
}

// close ends all of it.
func (v *view) close() {
	if v == nil {
		return
	}
	v.settle()
	if v.server != nil {
		v.server.Close()
	}
}

// settle ends what is drawn, so that a result can be printed.
func (v *view) settle() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.draw != nil {
		v.draw.Shutdown()
		v.draw = nil
	}
}

// Write writes lines above what is drawn.
func (v *view) Write(text []byte) (int, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.draw != nil {
		return v.draw.Write(text)
	}
	return v.out.Write(text)
}

// Live implements bench.Live: each run has a line of its own as long as it goes on.
func (v *view) Live(a bench.About) func(bench.Look) {
	v.mu.Lock()
	if v.draw == nil {
		v.draw = draws(v.out)
	}
	r := newRow(a.Name, v)
	r.left, r.share = r.line.Left, r.line.Share
	draw := v.draw
	v.mu.Unlock()
	r.show(draw, mpb.BarRemoveOnComplete())
	return both(v.hub.Live(a), r.line.Begin(a), func(l bench.Look) {
		if l.Over != "" {
			r.end(l.Over)
		}
	})
}

// both lets several see a run, of which any may be nil.
func both(all ...func(bench.Look)) func(bench.Look) {
	return func(l bench.Look) {
		for _, see := range all {
			if see != nil {
				see(l)
			}
		}
	}
}

// row shows one run.
type row struct {
	label  string
	line   live.Line
	left   func() string  // how much is left
	share  func() float64 // that has passed
	plain  io.Writer      // for plain lines
	colour bool
	bar    *mpb.Bar // nil: plain lines
	mu     sync.Mutex
	result string
	stop   chan struct{}
}

func newRow(label string, plain io.Writer) *row {
	return &row{label: label, plain: plain, colour: os.Getenv("NO_COLOR") == "", stop: make(chan struct{})}
}

// plainEvery is the time between two plain lines of a run.
const plainEvery = 10 * time.Second

// show begins the showing: as a bar with the line of the run below it, or as plain lines.
func (r *row) show(draw *mpb.Progress, more ...mpb.BarOption) {
	every, do := plainEvery, func() { fmt.Fprintln(r.plain, r.text()) }
	if draw != nil {
		const whole = 1000
		r.bar = draw.AddBar(whole, append(more,
			mpb.PrependDecorators(decor.Name(r.label, decor.WCSyncSpaceR)),
			mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return r.state() })),
			mpb.BarBtmExtender(mpb.BarFillerFunc(func(w io.Writer, s decor.Statistics) error {
				_, err := io.WriteString(w, r.below(s.AvailableWidth))
				return err
			})))...)
		every, do = time.Second, func() { r.bar.SetCurrent(min(whole-1, int64(whole*r.share()))) }
	}
	go func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				do()
			case <-r.stop:
				return
			}
		}
	}()
}

// end ends it with the result.
func (r *row) end(result string) {
	close(r.stop)
	r.mu.Lock()
	r.result = result
	r.mu.Unlock()
	if r.bar != nil {
		r.bar.SetTotal(-1, true)
	}
}

// state is what stands beside the bar: the result, or what is left.
func (r *row) state() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.result != "" {
		return r.result
	}
	return r.left()
}

// below is the line below the bar; "" if there is none any more.
func (r *row) below(width int) string {
	verdict := r.line.Verdict()
	r.mu.Lock()
	over := r.result != ""
	r.mu.Unlock()
	if over || verdict == "" {
		return ""
	}
	so := "  " + string(verdict) + " so far"
	text := []rune("  " + r.line.Text(width-2-len(so)))
	text = text[:max(0, min(len(text), width-len(so)))] // a terminal that breaks a line cannot be drawn over
	if r.colour {
		so = coloured(so, verdict)
	}
	return string(text) + so + "\n"
}

// coloured is a text in the colour of a verdict.
func coloured(text string, v bench.Verdict) string {
	colour := map[bench.Verdict]int{bench.Healthy: 32, bench.Recovered: 32, bench.Degraded: 33, bench.Collapsed: 31}[v]
	return fmt.Sprintf("\x1b[%dm%s\x1b[0m", colour, text)
}

// text is the run in a plain line.
func (r *row) text() string {
	all := []string{r.left(), r.line.Text(0)}
	if v := r.line.Verdict(); v != "" {
		all = append(all, string(v)+" so far")
	}
	return r.label + ": " + strings.Join(slices.DeleteFunc(all, func(s string) bool { return s == "" }), "; ")
}
