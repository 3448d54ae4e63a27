package browser

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/play"
	"github.com/leasestorm/leasestorm/bench/play/desk"
)

// made is the playground, with its engine, made once for all tests.
var made = sync.OnceValues(func() (play.Site, error) {
	dir, err := os.MkdirTemp("", "playground")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
	if out, err := exec.Command("../../scripts/playground", dir).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("scripts/playground: %w\n%s", err, out)
	}
	return play.With(os.DirFS(dir))
})

// site is the playground.
func site(t *testing.T) play.Site {
	t.Helper()
	s, err := made()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// playground serves the playground, and opens it in a browser with what stands in the address.
func playground(t *testing.T, width, height int, handler http.Handler, hash string) (*Page, string) {
	t.Helper()
	p := New(t, width, height)
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	p.Open(server.URL + "/" + hash)
	return p, server.URL
}

// quiet fails the test if the playground has complained, or asked for what is elsewhere.
func quiet(t *testing.T, p *Page, server string) {
	t.Helper()
	if all := p.Errors(); len(all) > 0 {
		t.Errorf("the page complains: %s", strings.Join(all, "\n"))
	}
	for _, r := range p.Requests() {
		if !strings.HasPrefix(r, server+"/") {
			t.Errorf("the page asks for %s", r)
		}
	}
}

// finish presses Run, and waits until the results are drawn.
func finish(p *Page) {
	p.Do(chromedp.Click("#run"))
	p.Wait(`document.body.dataset.state === "ready" && document.querySelectorAll("#results .chart").length > 0 && document.getElementById("failed").hidden`)
}

// What the playground runs in Chromium are the files of sim, to the byte.
func TestPlaygroundBytes(t *testing.T) {
	hash := "#name=surge&leases=100000&broken=10000&service_law=lognormal:cv=1&c=fifo&c=deadline/none/backoff&c=lifo&c=slack&seed=5"
	p, server := playground(t, 1280, 900, site(t), hash)
	finish(p)
	ask := desk.Ask{Keys: map[string]string{"name": "surge", "leases": "100000", "broken": "10000", "service_law": "lognormal:cv=1"}, Seed: 5}
	for i, name := range []string{"fifo", "deadline/none/backoff", "lifo", "slack"} {
		s, err := ask.Scenario(name)
		if err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(t.TempDir(), "run")
		if _, err := (bench.Virtual{}).Run(t.Context(), s, bench.Options{Seed: 5, MaxQueue: desk.MaxQueue, Folder: dir}); err != nil {
			t.Fatal(err)
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
			want, err := os.ReadFile(filepath.Join(dir, e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			text := Eval[string](p, `(function (d) { var s = ""; for (var i = 0; i < d.length; i += 8192) s += String.fromCharCode.apply(null, d.subarray(i, i + 8192)); return btoa(s); })(playground.result().files[`+string(rune('0'+i))+`]["`+e.Name()+`"] || new Uint8Array(0))`)
			if got, err := base64.StdEncoding.DecodeString(text); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: %s has %d bytes in Chromium and %d from sim, %v", name, e.Name(), len(got), len(want), err)
			}
		}
		got := strings.Fields(Eval[string](p, `Object.keys(playground.result().files[`+string(rune('0'+i))+`]).sort().join(" ")`))
		if !Eval[bool](p, `(function (r, i) { return JSON.parse(new TextDecoder().decode(r.files[i]["manifest.json"])).command === r.law.contestants[i].command; })(playground.result(), `+string(rune('0'+i))+`)`) {
			t.Errorf("%s: the page's command is not the run's", name)
		}
		if slices.Sort(names); !slices.Equal(got, names) || len(names) < 4 {
			t.Errorf("%s: files %v in Chromium, and %v from sim", name, got, names)
		}
	}
	quiet(t, p, server)
}

// The page by hand: the law answers while a slider moves, the address follows, a run draws its curves
// with what the law has said, and a hostile name is only shown.
func TestPlayground(t *testing.T) {
	p, server := playground(t, 1280, 900, site(t), "")
	says := func(i int) string {
		return Eval[string](p, `document.querySelectorAll(".contestant .says b")[`+string(rune('0'+i))+`].textContent`)
	}
	if got := says(0) + "|" + says(1); got != "✗ The law: never comes back|✓ The law: comes back" {
		t.Errorf("of the surge the law says %s", got)
	}
	// A share of 2 % is borne by a fifo, too.
	Eval[bool](p, `(function (r) { r.value = 20; r.dispatchEvent(new Event("input", { bubbles: true })); return true; })(document.getElementById("range-broken"))`)
	p.Wait(`document.querySelector(".contestant .says b").textContent === "✓ The law: comes back"`)
	p.Wait(`location.hash.includes("broken=2000&")`)
	shot(t, p, "playground-light.png", "body")
	Eval[bool](p, `(function (r) { r.value = 100; r.dispatchEvent(new Event("input", { bubbles: true })); return true; })(document.getElementById("range-broken"))`)
	p.Wait(`document.querySelector(".contestant .says").classList.contains("bad")`)
	finish(p)
	if n := Eval[int](p, `document.querySelectorAll("#results .chart").length`); n < 7 {
		t.Errorf("%d charts", n)
	}
	if got := Eval[string](p, `document.querySelector(".plot").chart.data.marks.map(function (m) { return m.text; }).join(", ")`); !strings.Contains(got, "law: never comes back") || !strings.Contains(got, "law: back") {
		t.Errorf("the marks of the first chart: %s", got)
	}
	quiet(t, p, server)
	shot(t, p, "playground-curves.png", "#h-run")
	p.Dark(true)
	shot(t, p, "playground-dark.png", "#h-law")

	// Another number of clients: the service time stays, and ρ follows.
	Eval[bool](p, `(function (r) { r.value = "200000"; r.dispatchEvent(new Event("change", { bubbles: true })); return true; })(document.getElementById("number-leases"))`)
	p.Wait(`document.querySelector("#law dd").textContent === "0.5"`)
	p.Wait(`location.hash.includes("leases=200000&broken=20000&") && location.hash.includes("service_time=50us")`)
	// A file of the reader's own; one that is none is refused by its name.
	open := func(name, text string) {
		Eval[bool](p, `(function (i) { var d = new DataTransfer(); d.items.add(new File([`+strconv.Quote(text)+`], "`+name+`")); i.files = d.files; i.dispatchEvent(new Event("change", { bubbles: true })); return true; })(document.getElementById("open"))`)
	}
	open("mine.toml", "leases = 1234\nservice_time = \"1ms\"\n")
	p.Wait(`location.hash.startsWith("#name=mine&leases=1234&")`)
	open("bad.toml", "leases = 'many'\n")
	p.Wait(`document.getElementById("bad").textContent.startsWith("bad.toml:1: ")`)
	quiet(t, p, server)

	p.Do(chromedp.Navigate("about:blank"))
	hostile := `<img src=x onerror=alert(1)>`
	p.Open(server + "/#name=" + url.QueryEscape(hostile) + "&about=" + url.QueryEscape(hostile) + "&c=" + url.QueryEscape(hostile) + "&leases=1000")
	if text := Eval[string](p, `document.body.textContent`); !strings.Contains(text, hostile) || Eval[int](p, `document.querySelectorAll("img").length`) > 0 {
		t.Error("a hostile name is not just shown")
	}
	quiet(t, p, server)
}

// A run is ended in its middle, and another one can follow. A million leases are run with progress.
func TestPlaygroundCancel(t *testing.T) {
	p, server := playground(t, 1000, 800, site(t), "#name=surge&c=fifo")
	p.Do(chromedp.Click("#run"))
	p.Wait(`document.querySelector("#progress progress").value > 0`)
	p.Do(chromedp.Click("#cancel"))
	p.Wait(`document.body.dataset.state === "ready"`)
	if got := Eval[string](p, `document.getElementById("failed").textContent`); got != "Cancelled." {
		t.Errorf("after cancelling the page says %q", got)
	}
	finish(p)
	if got := Eval[string](p, `document.querySelector("#progress small").textContent`); !strings.HasPrefix(got, "collapsed") {
		t.Errorf("a million leases: %s", got)
	}
	quiet(t, p, server)
}

// The story of that day goes on by keyboard, on a phone, from a folder that any web server serves;
// nothing is wider than the screen.
func TestPlaygroundStory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "site")
	if err := site(t).Write(dir); err != nil {
		t.Fatal(err)
	}
	p, server := playground(t, 390, 844, http.FileServer(http.Dir(dir)), "")
	Eval[bool](p, `document.getElementById("tell").focus(), true`)
	for i, verdict := range []string{"healthy", "recovered", "collapsed", "collapsed"} {
		p.Do(chromedp.KeyEvent("\r"))
		p.Wait(`document.getElementById("page-of").textContent.startsWith("` + string(rune('1'+i)) + ` ") && document.body.dataset.state === "ready" && playground.result() !== null`)
		if got := Eval[string](p, `document.querySelector("#progress small").textContent`); !strings.HasPrefix(got, verdict) {
			t.Errorf("chapter %d: %s", i+1, got)
		}
		Eval[bool](p, `document.getElementById("next").focus(), true`)
	}
	if got := Eval[string](p, `document.querySelectorAll("#progress small")[1].textContent`); !strings.HasPrefix(got, "recovered") {
		t.Errorf("deadline: %s", got)
	}
	if w := Eval[int](p, "document.documentElement.scrollWidth"); w > 390 {
		t.Errorf("the page is %d wide on a screen of 390", w)
	}
	shot(t, p, "playground-phone.png", "#story")
	quiet(t, p, server)
}

// How long 10^5 leases of the surge take is printed. It is no condition: hosts differ.
func TestPlaygroundSpeed(t *testing.T) {
	p, _ := playground(t, 1000, 800, site(t), "")
	p.Wait("window.warmed === true")
	const run = `(async function (n) {
		const engine = engines.start(), times = [];
		for (const c of ["fifo", "deadline", "fifo", "deadline", "fifo", "deadline"]) {
			const t = performance.now();
			await engine.ask("run", { keys: { name: "surge", leases: String(n), broken: String(n / 10) }, contestants: [c], seed: 1, folder: "/run" });
			times.push(c + " " + Math.round(performance.now() - t) + " ms");
		}
		window.times = times.join(", ");
	})`
	for _, n := range []string{"1e5", "1e6"} {
		Eval[bool](p, "window.times = null, "+run+"("+n+"), true")
		p.Wait("window.times !== null")
		t.Logf("%s leases, one run after the other: %s", n, Eval[string](p, "window.times"))
	}
}
