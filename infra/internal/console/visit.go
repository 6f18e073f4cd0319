package console

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

const (
	lookEvery = 50 * time.Millisecond
	waitTime  = 30 * time.Second // until the page shows what it must
)

// visit is one person's tab, with exports of their own. Its methods end the
// case when something isn't as it must be.
type visit struct {
	*Suite

	ctx       context.Context //nolint:containedctx // a visit is a scope, as testing.T is
	name      string
	token     string
	downloads string // folder
	clicks    int    // of the mouse, so far

	expected []string // what the page's own messages may speak of

	mu       sync.Mutex
	problems []string
	requests []string // URLs of all that the page asked for
}

// ended is what a visit panics with.
type ended struct{}

// try runs a case in a tab of its own, and returns what was wrong: also what
// no case may do.
func (s *Suite) try(browserContext context.Context, downloads string, c useCase) []string {
	tab, closeTab := chromedp.NewContext(browserContext, chromedp.WithNewBrowserContext())
	defer closeTab()
	ctx, cancel := context.WithTimeout(tab, caseTimeout)
	defer cancel()
	v := &visit{Suite: s, ctx: ctx, name: strings.ReplaceAll(c.name, " ", "-"), downloads: downloads}
	func() {
		defer s.front.forget()
		defer func() {
			if r := recover(); r != nil && r != (ended{}) {
				panic(r)
			}
		}()
		v.begin()
		c.run(v)
	}()
	if len(v.problems) > 0 {
		if err := v.keepPicture("failed-" + v.name); err != nil {
			v.errorf("no picture: %v", err)
		}
	}
	v.lookAtRequests()
	return v.problems
}

// begin makes the tab ready: its downloads, its records, and a caller of its
// own.
func (v *visit) begin() {
	v.must(os.MkdirAll(v.downloads, 0o755))
	v.must(chromedp.Do(v.ctx))
	_, err := chromedp.CallBrowser(v.ctx, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{
		Behavior: browser.SetDownloadBehaviorBehaviorAllow, BrowserContextID: chromedp.FromContext(v.ctx).BrowserContextID, DownloadPath: v.downloads,
	})
	v.must(err)
	_, err = chromedp.Call(v.ctx, network.Enable, network.EnableParams{})
	v.must(err)
	v.must(chromedp.Listen(v.ctx, func(event any) {
		if e, ok := event.(*network.EventRequestWillBeSent); ok {
			v.mu.Lock()
			defer v.mu.Unlock()
			v.requests = append(v.requests, e.Request.URL)
		}
	}))
	messages := chromedp.Console(v.ctx)
	go func() {
		for m, err := range messages {
			if err != nil {
				return
			}
			v.heard(m.String())
		}
	}()
	v.token, err = v.Token(v.name, time.Hour)
	v.must(err)
}

// expect lets the page's own messages speak of something.
func (v *visit) expect(what ...string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.expected = what
}

// heard is told each message of the page. The browser itself reports answers
// that are errors, which cases ask for; nothing else may go wrong unseen.
func (v *visit) heard(message string) {
	v.mu.Lock()
	expected := append([]string{"Failed to load resource"}, v.expected...)
	v.mu.Unlock()
	if !slices.ContainsFunc(expected, func(what string) bool { return strings.Contains(message, what) }) {
		v.errorf("the page's own messages: %s", message)
	}
}

// lookAtRequests checks that the page asked nobody but its own origin, and,
// for a file, the storage.
func (v *visit) lookAtRequests() {
	v.mu.Lock()
	requests := v.requests
	v.mu.Unlock()
	for _, url := range requests {
		file := strings.HasPrefix(url, v.Stack.Endpoints.S3+"/") && strings.Contains(url, "X-Amz-Signature=")
		if !strings.HasPrefix(url, v.front.URL+"/") && !strings.HasPrefix(url, "data:") && !file {
			v.errorf("the page asked for %s", url)
		}
	}
}

func (v *visit) errorf(format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.problems = append(v.problems, fmt.Sprintf(format, args...))
}

func (v *visit) fatalf(format string, args ...any) {
	v.errorf(format, args...)
	panic(ended{})
}

func (v *visit) must(err error) {
	if err != nil {
		v.fatalf("%v", err)
	}
}

// open goes to the page, signs in, and waits until it is ready.
func (v *visit) open() {
	v.goTo("/")
	v.signIn(v.token)
	v.see("#create")
}

func (v *visit) goTo(path string) { v.must(chromedp.Do(v.ctx, chromedp.Navigate(v.front.URL+path))) }

// signIn gives the page a token as people do.
func (v *visit) signIn(token string) {
	v.see("#token")
	v.fill("#token", token)
	v.press("#sign-in button")
}

// js evaluates an expression in the page, and waits for a promise.
func js[T any](v *visit, expression string) T {
	value, err := chromedp.Run(v.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		v.fatalf("%s: %v", expression, err)
	}
	return value
}

// wait waits until an expression is true in the page.
func (v *visit) wait(what, expression string) { v.waitFor(waitTime, what, expression) }

// waitLong is wait for what takes many exports.
func (v *visit) waitLong(what, expression string) { v.waitFor(3*waitTime, what, expression) }

func (v *visit) waitFor(within time.Duration, what, expression string) {
	for deadline := time.Now().Add(within); !js[bool](v, "!!("+expression+")"); {
		if time.Now().After(deadline) {
			v.fatalf("%s: not within %v; the page says: %s", what, within, js[string](v, "document.body.innerText.slice(0, 2000)"))
		}
		time.Sleep(lookEvery)
	}
}

// visible is an expression for an element that people can see.
func visible(selector string) string {
	return fmt.Sprintf("document.querySelector(%q)?.checkVisibility()", selector)
}

func (v *visit) see(selector string) { v.wait(selector+" is to be seen", visible(selector)) }

// says waits until the elements of a selector say a text.
func (v *visit) says(selector, text string) {
	v.wait(fmt.Sprintf("%s says %q", selector, text),
		fmt.Sprintf("[...document.querySelectorAll(%q)].some(e => e.checkVisibility() && e.innerText.includes(%q))", selector, text))
}

func (v *visit) text(selector string) string {
	return js[string](v, fmt.Sprintf("document.querySelector(%q)?.innerText ?? ''", selector))
}

// click clicks what is there by the mouse, and counts it.
func (v *visit) click(selector string) {
	v.see(selector)
	v.clicks++
	v.must(chromedp.Do(v.ctx, chromedp.Click(selector)))
}

// press is click for what isn't a part of what a case is about.
func (v *visit) press(selector string) { v.must(chromedp.Do(v.ctx, chromedp.Click(selector))) }

// fill types a text into an empty field, and leaves it.
func (v *visit) fill(selector, text string) {
	v.see(selector)
	v.must(chromedp.Do(v.ctx, chromedp.SendKeys(selector, text), chromedp.Blur(selector)))
}

// choose sets a field as the mouse would.
func (v *visit) choose(selector, value string) {
	v.see(selector)
	js[bool](v, fmt.Sprintf(`(e => { e.value = %q; e.dispatchEvent(new Event('change', { bubbles: true })); return true })(document.querySelector(%q))`, value, selector))
}

// card is the selector of an export's card, the newest first.
func card(number int) string { return fmt.Sprintf("#list > li:nth-child(%d)", number) }

// status waits until the newest export's badge says so.
func (v *visit) status(want string) { v.says(card(1)+" .badge", want) }

// download reads the file that the browser saved, and nothing else.
func (v *visit) download() (name string, content []byte) {
	for deadline := time.Now().Add(waitTime); ; time.Sleep(lookEvery) {
		files, err := os.ReadDir(v.downloads)
		v.must(err)
		if len(files) == 1 && !strings.HasSuffix(files[0].Name(), ".crdownload") && !strings.HasPrefix(files[0].Name(), ".") {
			path := filepath.Join(v.downloads, files[0].Name())
			content, err := os.ReadFile(path)
			v.must(err)
			v.must(os.Remove(path))
			return files[0].Name(), content
		}
		if time.Now().After(deadline) {
			v.fatalf("the browser saved no file within %v: %v", waitTime, files)
		}
	}
}

// makes asks for what the form says, and waits until it is completed.
func (v *visit) makes() {
	v.press("#create")
	v.status("completed")
}

// newest is the id of the newest export in the list.
func (v *visit) newest() string {
	return js[string](v, "document.querySelector('#list > li').dataset.id")
}

// getsFile downloads the newest export's file, and compares what is packed in it
// with what psql makes of a statement.
func (v *visit) getsFile(statement string) {
	v.press(card(1) + " [data-do=download]")
	_, file := v.download()
	v.equals(v.unpack(file), statement)
}

func (v *visit) unpack(content []byte) []byte {
	r, err := gzip.NewReader(bytes.NewReader(content))
	v.must(err)
	r.Multistream(false)
	plain, err := io.ReadAll(r)
	v.must(err)
	return plain
}

// equals compares a file with what psql makes of a statement.
func (v *visit) equals(file []byte, statement string) {
	var want bytes.Buffer
	v.must(v.Stack.DB().Copy(v.ctx, statement, &want))
	if !bytes.Equal(file, want.Bytes()) {
		v.fatalf("the file of %d bytes isn't that of %d bytes which psql makes of %s", len(file), want.Len(), statement)
	}
}

// ask sends a request of the visitor's to the service itself, past the page,
// and reads its JSON, unless into is nil.
func (v *visit) ask(method, path, body string, into any) {
	r, err := http.NewRequestWithContext(v.ctx, method, v.Stack.BaseURL+path, strings.NewReader(body))
	v.must(err)
	r.Header.Set("Authorization", "Bearer "+v.token)
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	v.must(err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	v.must(err)
	if into != nil {
		v.must(json.Unmarshal(text, into))
	}
}

// picture keeps what the page looks like.
func (v *visit) picture(name string) { v.must(v.keepPicture(name)) }

func (v *visit) keepPicture(name string) error {
	shot, err := chromedp.Run(v.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(v.Folder, name+".png"), shot, 0o644)
}

// slow lets the functions read so many kB a second from the database on each
// connection, until the returned function is called.
func (v *visit) slow(rate int) (again func()) {
	v.Database.Slow(rate)
	return func() { v.Database.Slow(0) }
}
