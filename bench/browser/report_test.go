package browser

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/leasestorm/leasestorm/bench/report"
)

var shots = flag.String("shots", "", "folder to write screenshots to")

// published is a suite's folder as it is published.
const published = "../../results/published/2-cores-virtual"

// standard makes the page of the published standard suite in a folder of its own.
func standard(t *testing.T) string {
	t.Helper()
	p, err := report.Build(t.Context(), published)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), report.File)
	var text bytes.Buffer
	if err := p.Write(&text); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// calm fails the test if a page has complained, or asked for anything but itself.
func calm(t *testing.T, p *Page, url string) {
	t.Helper()
	if all := p.Errors(); len(all) > 0 {
		t.Errorf("the page complains: %s", strings.Join(all, "\n"))
	}
	for _, r := range p.Requests() {
		if r != url {
			t.Errorf("the page asks for %s", r)
		}
	}
}

// shot keeps a picture of what is in sight from the element on that a selector names, if asked for.
func shot(t *testing.T, p *Page, name, from string) {
	t.Helper()
	if *shots == "" {
		return
	}
	Eval[bool](p, "document.querySelector('"+from+"').scrollIntoView(), true")
	Eval[bool](p, "leasestorm.every(function (c) { c.build(); }), true")
	if err := os.WriteFile(filepath.Join(*shots, name), p.Window(), 0o644); err != nil { //nolint:gosec // a picture for all
		t.Fatal(err)
	}
}

// The page of the standard suite: curves are drawn, the legend isolates a line, tables sort, and the
// network is left alone.
func TestReport(t *testing.T) {
	url := "file://" + standard(t)
	p := New(t, 1200, 1100)
	p.Open(url)
	// A canvas on which nothing was drawn has no opaque pixel.
	const drawn = `(function () {
		var c = document.querySelector(".plot canvas"), d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data, n = 0;
		for (var i = 3; i < d.length; i += 4) if (d[i] > 0) n++;
		return n;
	})()`
	if n := Eval[int](p, drawn); n < 1000 {
		t.Errorf("%d pixels of the first chart are drawn", n)
	}
	if n := Eval[int](p, `document.querySelectorAll("#charts-0 .chart").length`); n < 7 {
		t.Errorf("%d charts of the surge", n)
	}

	// The second line alone, in all charts of the section; then all again.
	Eval[bool](p, "leasestorm.every(function (c) { c.build(); }), true")
	const shownKeys = `Array.from(document.querySelectorAll("#charts-0 .key")).map(function (b) { return b.getAttribute("aria-pressed"); }).join(" ")`
	const shownLines = `(function () {
		var keys = {};
		document.querySelectorAll("#charts-0 .plot").forEach(function (b) {
			b.chart.lines.forEach(function (l, i) { if (b.chart.u.series[i + 1].show) keys[l.key] = true; });
		});
		return Object.keys(keys).join(" ");
	})()`
	keys := strings.Fields(Eval[string](p, shownKeys))
	p.Do(chromedp.Click(`#charts-0 .keys span:nth-child(2) .only`))
	if got := Eval[string](p, shownLines); got != "1" {
		t.Errorf("after 'only' the lines of %q are shown; want 1", got)
	}
	p.Do(chromedp.Click(`#charts-0 .keys span:nth-child(2) .only`))
	if got := strings.Fields(Eval[string](p, shownKeys)); !slices.Equal(got, keys) {
		t.Errorf("after 'only' twice %v; want %v", got, keys)
	}
	p.Do(chromedp.Click(`#charts-0 .keys span:nth-child(1) .key`))
	if got := Eval[string](p, shownLines); strings.HasPrefix(got, "0") {
		t.Errorf("a click hides nothing: %q", got)
	}
	// By keyboard: a button is reached and pressed.
	Eval[bool](p, `document.querySelector("#charts-0 .key").focus(), true`)
	p.Do(chromedp.KeyEvent(" "))
	if got := Eval[string](p, shownLines); !strings.HasPrefix(got, "0") {
		t.Errorf("the space bar shows nothing: %q", got)
	}
	Eval[bool](p, `document.querySelector("#charts-0 .key").dispatchEvent(new MouseEvent("click", { ctrlKey: true })), true`)
	if got := Eval[string](p, shownLines); got != "0" {
		t.Errorf("Ctrl-click shows %q", got)
	}

	// A column of numbers sorts both ways, what has no number last.
	const column = `Array.from(document.querySelectorAll("#section-0 tbody tr")).map(function (r) { return r.cells[3].dataset.v; }).join(" ")`
	sortBy := func() []string {
		Eval[bool](p, `document.querySelectorAll("#section-0 thead button")[3].click(), true`)
		return strings.Split(Eval[string](p, column), " ")
	}
	up, down := sortBy(), sortBy()
	numbers := func(all []string) (n []string) {
		return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return s == "" })
	}
	back := numbers(down)
	slices.Reverse(back)
	if len(numbers(up)) < 2 || !slices.Equal(numbers(up), back) || up[len(up)-1] != "" || down[len(down)-1] != "" {
		t.Errorf("sorted %v, then %v", up, down)
	}
	calm(t, p, url)
	p.Do(chromedp.Click(`#charts-0 .everything`))
	shot(t, p, "report-light.png", "body")

	p.Dark(true)
	if got := Eval[string](p, `getComputedStyle(document.body).backgroundColor`); got != "rgb(21, 23, 26)" {
		t.Errorf("the dark page's background is %s", got)
	}
	shot(t, p, "report-dark.png", "#charts-0")
	calm(t, p, url)
}

// On a phone nothing but tables is wider than the screen.
func TestReportOnAPhone(t *testing.T) {
	url := "file://" + standard(t)
	p := New(t, 390, 844)
	p.Open(url)
	if w := Eval[int](p, "document.documentElement.scrollWidth"); w > 390 {
		t.Errorf("the page is %d wide on a screen of 390", w)
	}
	calm(t, p, url)
	shot(t, p, "report-phone.png", "#charts-0")
}

// Each figure downloads as SVG, PNG and CSV.
func TestDownloads(t *testing.T) {
	p := New(t, 1000, 800)
	p.Open("file://" + standard(t))
	done := make(chan string, 8)
	if err := chromedp.ListenBrowser(p.Context(), func(event any) {
		if e, ok := event.(*browser.EventDownloadProgress); ok && e.State == "completed" {
			done <- e.GUID
		}
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.CallBrowser(p.Context(), browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{
		Behavior: browser.SetDownloadBehaviorBehaviorAllow, DownloadPath: p.Downloads, EventsEnabled: new(true),
	}); err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct{ file, begins string }{
		{"active-leases.svg", "<svg "}, {"active-leases.png", "\x89PNG"}, {"active-leases.csv", "time since the dependency's return (s),"},
	} {
		p.Do(chromedp.Click(`(//*[@id="charts-0"]//figure)[1]//button[` + string(rune('1'+i)) + `]`))
		select {
		case <-done:
		case <-time.After(20 * time.Second):
			t.Fatalf("%s never arrives", want.file)
		}
		text, err := os.ReadFile(filepath.Join(p.Downloads, want.file))
		if err != nil || !strings.HasPrefix(string(text), want.begins) || len(text) < 500 {
			t.Errorf("%s: %d bytes, %.40q, %v", want.file, len(text), text, err)
		}
	}
	if all := p.Errors(); len(all) > 0 {
		t.Error(all)
	}
}

// On paper the charts are all there.
func TestPrint(t *testing.T) {
	p := New(t, 1000, 800)
	p.Open("file://" + standard(t))
	pdf := Run(p, chromedp.PrintToPDF(func(o *page.PrintToPDFParams) { o.PrintBackground = new(true) }))
	if !bytes.HasPrefix(pdf, []byte("%PDF")) {
		t.Fatalf("not a PDF: %.20q", pdf)
	}
	if *shots != "" {
		if err := os.WriteFile(filepath.Join(*shots, "report.pdf"), pdf, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if n := Eval[int](p, `Array.from(document.querySelectorAll(".plot")).filter(function (b) { return !b.chart.u; }).length`); n > 0 {
		t.Errorf("%d charts were not built for paper", n)
	}
}

// The policy in the page fits its scripts and style sheets, so that nothing else can run.
func TestPolicy(t *testing.T) {
	text, err := os.ReadFile(standard(t))
	if err != nil {
		t.Fatal(err)
	}
	policy := regexp.MustCompile(`http-equiv="Content-Security-Policy" content="([^"]+)"`).FindSubmatch(text)
	if policy == nil {
		t.Fatal("no policy")
	}
	said := strings.ReplaceAll(strings.ReplaceAll(string(policy[1]), "&#39;", "'"), "&#43;", "+")
	parts := regexp.MustCompile(`(?s)<(?:script|style)>(.*?)</(?:script|style)>`).FindAllSubmatch(text, -1)
	if len(parts) != 5 {
		t.Errorf("%d scripts and style sheets", len(parts))
	}
	for _, m := range parts {
		sum := sha256.Sum256(m[1])
		if hash := "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; !strings.Contains(said, hash) {
			t.Errorf("the policy lacks %s of %.40q", hash, m[1])
		}
	}
	if len(text) > 3<<20 {
		t.Errorf("the page has %d bytes", len(text))
	}
}

// How long the page takes to draw is printed. It is no condition: hosts differ.
func TestDrawn(t *testing.T) {
	p := New(t, 1280, 900)
	best := time.Hour
	for range 3 {
		p.Open("file://" + standard(t))
		ms := Eval[float64](p, `performance.getEntriesByName("drawn")[0].startTime`)
		best = min(best, time.Duration(ms*float64(time.Millisecond)))
	}
	t.Logf("drawn %v after the navigation began, at best of 3", best)
	if err := p.Context().Err(); err != nil && err != context.Canceled {
		t.Error(err)
	}
}
