// Package browser opens the project's pages in headless Chromium, for tests. It is a module of its
// own, since the pages themselves need no browser's library.
package browser

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/leasestorm/leasestorm/internal/need"
)

// Page is a tab of a browser of its own, with what it has complained of and asked for.
type Page struct {
	t   testing.TB
	ctx context.Context
	// Downloads is the folder in which downloads arrive.
	Downloads string

	mu       sync.Mutex
	errors   []string
	requests []string
}

// New starts a browser with a window of that many CSS pixels. The test is skipped where there is no
// Chromium, and fails if it needs one.
func New(t testing.TB, width, height int) *Page {
	t.Helper()
	path := need.Tool(t, "chromium", "Debian's package chromium")
	options := append(chromedp.DefaultExecAllocatorOptions[:len(chromedp.DefaultExecAllocatorOptions):len(chromedp.DefaultExecAllocatorOptions)],
		chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(width, height), chromedp.Flag("disable-component-update", true))
	alloc, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	ctx, closeTab := chromedp.NewContext(alloc)
	t.Cleanup(closeTab)
	p := &Page{t: t, ctx: ctx, Downloads: t.TempDir()}
	p.Do(chromedp.EmulateViewport(int64(width), int64(height)))
	if err := chromedp.Listen(ctx, p.heard); err != nil {
		t.Fatal(err)
	}
	Call(p, network.Enable, network.EnableParams{})
	Call(p, log.Enable, cdp.Empty{})
	if _, err := chromedp.CallBrowser(ctx, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{Behavior: browser.SetDownloadBehaviorBehaviorAllow, DownloadPath: p.Downloads}); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *Page) heard(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		if !strings.HasPrefix(e.Request.URL, "data:") && !strings.HasPrefix(e.Request.URL, "blob:") {
			p.requests = append(p.requests, e.Request.URL)
		}
	case *runtime.EventExceptionThrown:
		p.errors = append(p.errors, fmt.Sprintf("exception: %s %v", e.ExceptionDetails.Text, e.ExceptionDetails.Exception))
	case *runtime.EventConsoleAPICalled:
		if e.Type == "error" || e.Type == "warning" {
			for _, a := range e.Args {
				p.errors = append(p.errors, fmt.Sprintf("console: %s %s", a.Value, a.Description))
			}
		}
	case *log.EventEntryAdded: // violations of the page's policy come here
		p.errors = append(p.errors, fmt.Sprintf("log: %s: %s", e.Entry.Level, e.Entry.Text))
	}
}

// Errors returns what the page has complained of: exceptions, console errors, violations of its policy.
func (p *Page) Errors() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.errors...)
}

// Requests returns the addresses that the page has asked for, its own among them.
func (p *Page) Requests() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.requests...)
}

// Context is the tab's, for what this package has no word for.
func (p *Page) Context() context.Context { return p.ctx }

// Do takes steps, such as chromedp.Click.
func (p *Page) Do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, steps...); err != nil {
		p.t.Fatal(err)
	}
}

// Open goes to an address, and waits until the page has set window.done.
func (p *Page) Open(url string) {
	p.t.Helper()
	p.Do(chromedp.Navigate(url))
	p.Wait("window.done === true")
}

// Wait waits until a JavaScript expression is true.
func (p *Page) Wait(expression string) {
	p.t.Helper()
	if _, err := chromedp.Run(p.ctx, chromedp.Poll[bool](expression)); err != nil {
		p.t.Fatalf("waiting for %s: %v", expression, err)
	}
}

// Dark makes the page believe that its reader prefers a dark scheme, or a light one.
func (p *Page) Dark(dark bool) {
	p.t.Helper()
	value := map[bool]string{true: "dark", false: "light"}[dark]
	Call(p, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: value}}})
}

// Screenshot is the whole page as PNG.
func (p *Page) Screenshot() []byte {
	p.t.Helper()
	return Run(p, chromedp.FullScreenshot(100))
}

// Window is what is in sight, as PNG.
func (p *Page) Window() []byte {
	p.t.Helper()
	return Run(p, chromedp.CaptureScreenshot())
}

// Eval evaluates a JavaScript expression.
func Eval[T any](p *Page, expression string) T {
	p.t.Helper()
	return Run(p, chromedp.Evaluate[T](expression))
}

// Run takes an action that has a result.
func Run[T any](p *Page, a chromedp.Action[T]) T {
	p.t.Helper()
	v, err := chromedp.Run(p.ctx, a)
	if err != nil {
		p.t.Fatal(err)
	}
	return v
}

// Call calls a command of the tab's protocol.
func Call[P, R any](p *Page, command cdp.Command[P, R], params P) R {
	p.t.Helper()
	r, err := chromedp.Call(p.ctx, command, params)
	if err != nil {
		p.t.Fatal(err)
	}
	return r
}
