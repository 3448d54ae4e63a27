package browser

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/live"
	"github.com/leasestorm/leasestorm/bench/scenario"
)

// watched makes a run that hub sees.
func watched(t *testing.T, hub *live.Hub, queue, name string) bench.Verdict {
	t.Helper()
	s, err := scenario.Load("surge")
	if err == nil {
		err = s.Set("leases=5000", "broken=1500", "timeout=500ms", "duration=20s", "queue="+queue)
	}
	if err != nil {
		t.Fatal(err)
	}
	res, err := bench.Virtual{}.Run(t.Context(), s, bench.Options{Seed: 1, Live: func(a bench.About) func(bench.Look) {
		if name != "" {
			a.Name = name
		}
		return hub.Live(a)
	}})
	if err != nil {
		t.Fatal(err)
	}
	return res.Verdict
}

// The live page draws the runs that went before it was opened and those that come after, and leaves
// them drawn when the server ends. A hostile name stays text.
func TestLive(t *testing.T) {
	hub := live.NewHub()
	server, err := hub.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	url := "http://" + server.Addr() + "/"
	p := New(t, 1280, 900)
	want := []bench.Verdict{watched(t, hub, "fifo", ""), watched(t, hub, "deadline", "")}
	p.Open(url)
	p.Wait(`document.querySelectorAll("#runs tbody tr").length === 2 && document.querySelectorAll("#charts .chart").length === 7`)
	shot(t, p, "live-light.png", "h1")
	p.Dark(true)
	shot(t, p, "live-dark.png", "h1")
	p.Dark(false)
	const hostile = `<script>alert(1)</script>`
	want = append(want, watched(t, hub, "lifo", hostile))
	// The end of a run may come in a later batch of events than its last step.
	p.Wait(`document.querySelectorAll("#runs tbody tr").length === 3 && document.querySelectorAll("#charts .key").length === 3 &&
		document.querySelector("#runs tbody td:last-child").textContent.startsWith("` + string(want[2]) + `")`)
	if got := Eval[string](p, `document.querySelector("#runs tbody td").textContent`); got != hostile {
		t.Errorf("the latest run is %q", got)
	}
	if got := Eval[string](p, `Array.from(document.querySelectorAll("#runs tbody tr td:last-child")).map(function (c) { return c.textContent.split(",")[0]; }).join(" ")`); got != fmt.Sprintf("%s %s %s", want[2], want[1], want[0]) {
		t.Errorf("the verdicts are %s; want those of %v, the latest first", got, want)
	}
	if n := Eval[int](p, "(function (n) { leasestorm.every(function (c) { c.build(); n++; }); return n; })(0)"); n != 7 {
		t.Errorf("there are %d charts, and 7 figures: those of the first two runs are not taken down", n)
	}
	const points = `Array.from(document.querySelectorAll("#charts .plot")).map(function (b) {
		return b.chart.data.series.map(function (s) { return s.y.filter(function (v) { return v !== null; }).length; }).join(",");
	}).join(" ")`
	for i, counts := range strings.Fields(Eval[string](p, points)) {
		for _, n := range strings.Split(counts, ",") {
			if len(n) < 2 {
				t.Errorf("chart %d has curves of %s points", i, counts)
			}
		}
	}
	p.Do(chromedp.Click(`#charts .keys span:nth-child(2) .only`))
	if got := Eval[string](p, `Array.from(document.querySelectorAll("#charts .key")).map(function (b) { return b.getAttribute("aria-pressed"); }).join(" ")`); got != "false true false" {
		t.Errorf("after 'only' the lines shown are %s", got)
	}
	hub.Close()
	p.Wait(`document.getElementById("state").textContent.indexOf("has ended") > 0`)
	if all := p.Errors(); len(all) > 0 {
		t.Errorf("the page complains: %s", strings.Join(all, "\n"))
	}
	for _, r := range p.Requests() {
		if !strings.HasPrefix(r, url) {
			t.Errorf("the page asks for %s", r)
		}
	}
}

// On a phone the page is as wide as the screen.
func TestLivePhone(t *testing.T) {
	hub := live.NewHub()
	server, err := hub.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	watched(t, hub, "deadline", "")
	p := New(t, 390, 800)
	p.Open("http://" + server.Addr() + "/")
	if got := Eval[int](p, "document.documentElement.scrollWidth"); got > 390 {
		t.Errorf("the page is %d pixels wide on a screen of 390", got)
	}
	shot(t, p, "live-phone.png", "body")
}
