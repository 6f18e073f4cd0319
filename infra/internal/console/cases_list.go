package console

import (
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

func listCases() []useCase {
	return []useCase{
		{"200 exports", manyExports},
		{"show by status", showByStatus},
		{"delete a file", deleteFile},
		{"export of elsewhere", exportOfElsewhere},
	}
}

// many is how many exports somebody has who looks at a long list.
const many = 205

// maxRefresh bounds how long one look at a long list holds the page up;
// generously, since machines that test are busy.
const maxRefresh = 500 * time.Millisecond

// manyExports shows all of a long list, page by page, and follows a new one.
func manyExports(v *visit) {
	var together errgroup.Group
	together.SetLimit(4)
	for range many {
		together.Go(func() error {
			v.ask("POST", "/exports/csv", `{"dataset":"orders","filters":{"id":1}}`, nil)
			return nil
		})
	}
	_ = together.Wait() // ask ends the case
	v.open()
	v.see("#more")
	for range 10 {
		if js[bool](v, "document.querySelector('#more').hidden") {
			break
		}
		before := js[int](v, "document.querySelectorAll('#list > li').length")
		v.press("#more")
		v.wait("more exports come", fmt.Sprintf("document.querySelectorAll('#list > li').length > %d", before))
		v.wait("the button is ready", "document.querySelector('#more').ariaDisabled !== 'true'")
	}
	if n := js[int](v, "new Set([...document.querySelectorAll('#list > li')].map(c => c.dataset.id)).size"); n != many {
		v.errorf("%d exports are shown, not %d", n, many)
	}
	v.press("#create")
	v.wait("a new export comes first", fmt.Sprintf("document.querySelectorAll('#list > li').length === %d", many+1))
	v.waitLong("all are done", "![...document.querySelectorAll('#list .badge')].some(b => ['processing', 'queued', 'finalizing'].includes(b.innerText))")
	if sorted := js[bool](v, "(t => t.every((x, i) => i === 0 || new Date(x) <= new Date(t[i - 1])))([...document.querySelectorAll('#list h3')].map(h => h.innerText.replace(/^[a-z]+, /, '')))"); !sorted {
		v.errorf("the newest exports aren't first")
	}
	// What a look costs the page: its tasks that took longest while it looks.
	took := js[float64](v, `new Promise(done => {
		let worst = 0
		new PerformanceObserver(l => { for (const e of l.getEntries()) worst = Math.max(worst, e.duration) }).observe({ type: 'longtask' })
		setTimeout(() => done(worst), 3000)
	})`)
	if took > float64(maxRefresh.Milliseconds()) {
		v.errorf("a look at %d exports holds the page up for %.0f ms", many, took)
	}
	v.picture("200-exports")
	v.accessible("with 200 exports")
}

func showByStatus(v *visit) {
	v.open()
	v.makes()
	v.choose("#status-filter", "failed")
	v.see("#none")
	v.choose("#status-filter", "completed")
	v.status("completed")
	v.choose("#status-filter", "failed")
	v.see("#none")
	v.press("#create") // a new one is shown whatever was chosen before
	v.says(card(2)+" .badge", "completed")
	v.status("completed")
	for range 51 { // more than a page
		v.ask("POST", "/exports/csv", `{"dataset":"orders","filters":{"id":1}}`, nil)
	}
	v.choose("#status-filter", "failed")
	v.see("#none")
	v.press("#create")
	v.see("#more") // also when the list begins with what was created
}

func deleteFile(v *visit) {
	v.open()
	v.makes()
	id := v.newest()
	var e struct{ Status string }
	v.click(card(1) + " [data-do=delete]")
	v.see("#confirm")
	v.picture("question")
	v.accessible("with a question")
	v.press("#confirm button[value=no]")
	v.wait("the question is closed", "!document.querySelector('#confirm').open")
	v.wait("the button is ready", fmt.Sprintf("document.querySelector('%s [data-do=delete]').ariaDisabled !== 'true'", card(1)))
	if v.ask("GET", "/exports/"+id+"/status", "", &e); e.Status != "completed" {
		v.errorf("the file that was kept is %s", e.Status)
	}
	v.click(card(1) + " [data-do=delete]")
	v.click("#confirm-yes")
	v.status("deleted")
	if v.ask("GET", "/exports/"+id+"/status", "", &e); e.Status != "deleted" {
		v.errorf("the service says %s", e.Status)
	}
	if left := js[bool](v, visible(card(1)+" [data-do=download]")+" ?? false"); left {
		v.errorf("a deleted file can be downloaded")
	}
}

// exportOfElsewhere sees what another program of the same caller asks for.
func exportOfElsewhere(v *visit) {
	v.open()
	v.see("#none")
	v.ask("POST", "/exports/csv", `{"dataset":"orders"}`, nil)
	v.status("completed")
	if js[bool](v, visible("#none")) {
		v.errorf("the page still says that there are none")
	}
}
