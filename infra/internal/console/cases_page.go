package console

import (
	"fmt"
	"strings"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

func signInCases() []useCase {
	return []useCase{
		{"sign in and out", signInAndOut},
		{"wrong tokens", wrongTokens},
		{"token ends", tokenEnds},
		{"no dataset", noDataset},
	}
}

func pageCases() []useCase {
	return []useCase{
		{"stage prefix", stagePrefix},
		{"dark and small", darkAndSmall},
		{"policy", policy},
	}
}

func signInAndOut(v *visit) {
	v.goTo("/")
	v.see("#token")
	v.picture("sign-in")
	v.accessible("at the sign-in")
	v.signIn("nonsense")
	v.says("#sign-in-reason", "doesn’t accept this token")
	if js[bool](v, visible("#create")) {
		v.errorf("the form is there without a good token")
	}
	v.signIn("Bearer " + v.token) // as people copy it
	v.see("#create")
	v.says("#who", "Signed in as "+v.name)
	if kept := js[int](v, "localStorage.length + document.cookie.length"); kept != 0 {
		v.errorf("something stays in the browser")
	}
	v.must(chromedp.Do(v.ctx, chromedp.Reload()))
	v.see("#create")
	v.fill("#filter-country_code", "US")
	v.press("#sign-out")
	v.see("#token")
	if js[string](v, "sessionStorage.getItem('token') ?? ''") != "" || js[bool](v, visible("#exports")) {
		v.errorf("something stays after signing out")
	}
	other, err := v.Token(v.name+" other", time.Hour)
	v.must(err)
	v.signIn(other)
	v.see("#create")
	if kept := js[string](v, "document.querySelector('#filter-country_code').value"); kept != "" {
		v.errorf("what one person filled in stays for the next: %q", kept)
	}
}

// wrongTokens never lock a tab.
func wrongTokens(v *visit) {
	v.goTo("/")
	v.signIn("eyJ0…")
	v.says("#sign-in-reason", "isn’t a whole token")
	v.front.answerWith(answer{
		method: "GET", path: "/datasets", times: 2, status: 403, mediaType: "application/problem+json",
		body: `{"status":403,"detail":"The caller may not do this.","code":"forbidden"}`,
	})
	v.must(chromedp.Do(v.ctx, chromedp.Reload()))
	v.signIn(v.token)
	v.says("#sign-in-reason", "The caller may not do this.")
	v.signIn(v.token)
	v.see("#create")
}

// tokenEnds keeps what was filled in over another sign-in.
func tokenEnds(v *visit) {
	short, err := v.Token(v.name, 4*time.Second)
	v.must(err)
	v.goTo("/")
	v.signIn(short)
	v.see("#create")
	v.fill("#filter-country_code", "US")
	time.Sleep(4 * time.Second) // the service's clock is the machine's
	v.must(chromedp.Do(v.ctx, chromedp.Evaluate[chromedp.Void]("document.querySelector('#create')?.click()")))
	v.see("#token")
	v.says("#sign-in-reason", "its time is over")
	v.signIn(v.token)
	v.see("#create")
	if kept := js[string](v, "document.querySelector('#filter-country_code').value"); kept != "US" {
		v.errorf("what was filled in is gone: %q", kept)
	}
}

func noDataset(v *visit) {
	v.front.answerWith(answer{method: "GET", path: "/datasets", times: -1, status: 200, mediaType: "application/json", body: `{"datasets":[]}`})
	v.goTo("/")
	v.signIn(v.token)
	v.says("#banner", "no dataset that you may export")
	v.see("#exports")
	if js[bool](v, visible("#create")) {
		v.errorf("there is a form without a dataset")
	}
}

// stagePrefix goes the whole way below the stage, with and without the slash.
func stagePrefix(v *visit) {
	for i, path := range []string{"/v1/", "/v1"} {
		v.goTo(path)
		if i == 0 {
			v.signIn(v.token)
		}
		v.see("#create")
		v.press("#create")
		v.wait("one more export", fmt.Sprintf("document.querySelectorAll('#list > li').length === %d", i+1))
		v.status("completed")
		v.getsFile(allUsers)
		if link := js[string](v, "document.querySelector('#contract').href"); link != v.front.URL+"/v1/openapi.yaml" {
			v.errorf("at %s the contract is said to be at %s", path, link)
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, url := range v.requests {
		if strings.HasPrefix(url, v.front.URL) && !strings.HasPrefix(url, v.front.URL+"/v1") {
			v.problems = append(v.problems, "a request outside of the stage: "+url)
		}
	}
}

func darkAndSmall(v *visit) {
	v.open()
	v.makes()
	v.press("#columns-group summary")
	v.press("#format-group summary")
	for _, scheme := range []string{"dark", "light"} {
		_, err := chromedp.Call(v.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		v.must(err)
		for _, width := range []int64{1280, 320} { // 320: WCAG 2.2, 1.4.10 Reflow
			v.must(chromedp.Do(v.ctx, chromedp.EmulateViewport(width, 900)))
			what := fmt.Sprintf("%s-%d", scheme, width)
			if over := js[int](v, "document.documentElement.scrollWidth - document.documentElement.clientWidth"); over > 0 {
				v.errorf("%s: %d pixels don't fit in", what, over)
			}
			v.picture(what)
			v.accessible(what)
		}
	}
}

// policy shows that the browser holds the page to what it says of itself.
func policy(v *visit) {
	v.open()
	v.expect("Content Security Policy", "TrustedScript")
	if !js[bool](v, fmt.Sprintf("fetch(%q).then(() => false, () => true)", v.Stack.BaseURL+"/health")) {
		v.errorf("the page can ask another origin")
	}
	if js[bool](v, `(() => { const s = document.createElement('script'); try { s.textContent = 'window.planted = true' } catch { return false }
		document.body.append(s); return window.planted === true })()`) {
		v.errorf("a script that was planted runs")
	}
	framed := js[string](v, `new Promise(done => { const f = document.createElement('iframe'); f.src = location.href
		f.onload = () => { try { done(f.contentDocument?.title ?? '') } catch { done('') } }; document.body.append(f); setTimeout(() => done(''), 3000) })`)
	if framed != "" {
		v.errorf("the page can be framed")
	}
}
