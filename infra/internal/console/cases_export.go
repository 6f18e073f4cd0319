package console

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// allUsers is what an export of all users holds, and allOrders of all orders.
const (
	allUsers  = `COPY (SELECT id, name, email, signup_date, country_code, subscription_tier, lifetime_value FROM users ORDER BY id) TO STDOUT (FORMAT csv, HEADER)`
	allOrders = `COPY (SELECT id, ordered_on, tenant_id, customer_id, status, paid, total, note FROM orders ORDER BY ordered_on, id) TO STDOUT (FORMAT csv, HEADER)`
)

// maxClicks is how many clicks a first-time user may need from the page to a
// file on the disk.
const maxClicks = 4

// slowRate makes the database of the cases that watch an export slow, in kB a
// second: the users take some twelve seconds then.
const slowRate = 1500

func exportCases() []useCase {
	return []useCase{
		{"first file", firstFile},
		{"progress moves", progressMoves},
		{"cancel and try again", cancelAndRetry},
		{"filters of every type", filtersOfEveryType},
		{"columns and format", columnsAndFormat},
		{"several files", severalFiles},
		{"own bucket", ownBucket},
		{"template", template},
		{"copied commands", copiedCommands},
		{"keyboard alone", keyboardAlone},
	}
}

// firstFile is the whole way of somebody who has never seen the page.
func firstFile(v *visit) {
	begin := time.Now()
	v.goTo("/")
	v.see("#token")
	v.fill("#token", v.token)
	v.click("#sign-in button")
	v.click("#create")
	v.click(card(1) + " [data-do=download]")
	name, file := v.download()
	fmt.Fprintf(v.Log, "first file: %d clicks, %.1f s from the page to the file\n", v.clicks, time.Since(begin).Seconds())
	if v.clicks > maxClicks {
		v.errorf("%d clicks, more than %d", v.clicks, maxClicks)
	}
	if !strings.HasPrefix(name, "users-") || !strings.HasSuffix(name, ".csv.gz") {
		v.errorf("the file is saved as %s", name)
	}
	v.equals(v.unpack(file), allUsers)
	v.says(card(1), js[string](v, fmt.Sprintf("(%d).toLocaleString('en') + ' rows'", usersRows)))
	v.picture("completed")
}

// progressMoves sees the bar, the rows, the rate and the time left go on.
func progressMoves(v *visit) {
	v.open()
	v.says("#estimate", "About ")
	defer v.slow(slowRate)()
	v.press("#create")
	var seen []int
	facts := map[string]bool{}
	for deadline := time.Now().Add(waitTime); ; time.Sleep(lookEvery) {
		if js[bool](v, fmt.Sprintf("document.querySelector('%s .badge')?.innerText === 'completed'", card(1))) {
			break
		}
		if time.Now().After(deadline) {
			v.fatalf("not completed within %v; progress was %v", waitTime, seen)
		}
		now := js[int](v, fmt.Sprintf("(b => b?.checkVisibility() && b.hasAttribute('value') ? b.value : -1)(document.querySelector('%s progress'))", card(1)))
		if now >= 0 && (len(seen) == 0 || now != seen[len(seen)-1]) {
			seen = append(seen, now)
			if len(seen) == 3 {
				v.picture("progress")
				v.accessible("while an export runs")
			}
		}
		for _, word := range []string{" of ", " rows", " a second", " left"} {
			facts[word] = facts[word] || strings.Contains(v.text(card(1)+" .facts"), word)
		}
	}
	if len(seen) < 4 || !slices.IsSorted(seen) || seen[len(seen)-1] >= 100 {
		v.errorf("the bar showed %v", seen)
	}
	for word, was := range facts {
		if !was {
			v.errorf("nothing said %q", word)
		}
	}
	v.says("#announcement", "completed") // what a screen reader hears
	if title := js[bool](v, fmt.Sprintf("document.querySelector('%s progress').checkVisibility()", card(1))); title {
		v.errorf("a completed export still has a bar")
	}
}

func cancelAndRetry(v *visit) {
	v.open()
	atFullSpeed := v.slow(slowRate)
	defer atFullSpeed()
	v.press("#create")
	v.says(card(1)+" .facts", " of ")
	id := v.newest()
	v.click(card(1) + " [data-do=cancel]")
	v.status("cancelled")
	var e struct{ Status string }
	if v.ask("GET", "/exports/"+id+"/status", "", &e); e.Status != "cancelled" {
		v.errorf("the service says %s", e.Status)
	}
	if focus := js[string](v, "document.activeElement.closest('.card')?.dataset.id ?? document.activeElement.tagName"); focus != id {
		v.errorf("the keyboard is lost after a cancel: at %s", focus)
	}
	v.picture("cancelled")
	v.accessible("with a cancelled export")
	atFullSpeed()
	v.click(card(1) + " [data-do=retry]")
	v.says(card(2)+" .badge", "cancelled")
	v.status("completed")
	v.getsFile(allUsers)
}

// filtersOfEveryType fills in each kind of field that filters have.
func filtersOfEveryType(v *visit) {
	v.open()
	v.choose("#dataset", "orders")
	v.fill("#filter-tenant_id", "1\n3")
	v.fill("#filter-id_max", "15000")
	v.choose("#filter-ordered_on_from", "2024-02-01")
	v.choose("#filter-ordered_on_to", "2025-06-30")
	v.fill("#filter-status", "new\nshipped")
	v.choose("#filter-paid", "true")
	v.fill("#filter-total_min", "10.50")
	v.choose("#filter-note_is_null", "true")
	v.says("#estimate", "About ")
	v.picture("filters")
	v.accessible("with all kinds of filters")
	v.makes()
	v.getsFile(`COPY (SELECT id, ordered_on, tenant_id, customer_id, status, paid, total, note FROM orders
		WHERE tenant_id IN (1, 3) AND id <= 15000 AND ordered_on BETWEEN '2024-02-01' AND '2025-06-30' AND status IN ('new', 'shipped')
			AND paid AND total >= 10.50 AND note IS NULL ORDER BY ordered_on, id) TO STDOUT (FORMAT csv, HEADER)`)
	v.says(card(1)+" .asked", "total_min: 10.5")

	v.choose("#dataset", "users")
	v.choose("#filter-signup_date_from", "2023-03-01")
	v.fill("#filter-signup_date_from-time", "12:30")
	v.choose("#filter-signup_date_to", "2024-03-31")
	v.press("#create")
	v.says(card(2)+" .badge", "completed")
	v.status("completed")
	v.getsFile(`COPY (SELECT id, name, email, signup_date, country_code, subscription_tier, lifetime_value FROM users
		WHERE signup_date >= '2023-03-01 12:30Z' AND signup_date < '2024-04-01 00:00Z' ORDER BY id) TO STDOUT (FORMAT csv, HEADER)`)
}

// columnsAndFormat chooses and orders columns, and takes the format of
// spreadsheets.
func columnsAndFormat(v *visit) {
	v.open()
	v.choose("#dataset", "orders")
	v.press("#columns-group summary")
	v.press("#no-columns")
	for _, column := range []string{"id", "note", "total"} {
		v.press(fmt.Sprintf("#columns input[value=%s]", column))
	}
	for range 2 { // total before note
		v.press("#columns li:has(input[value=total]) button")
	}
	v.press("#format-group summary")
	v.choose("#preset", "spreadsheet")
	v.fill("#fileName", "for the boss.csv")
	v.says("#format-summary", "not packed, for the boss.csv")
	v.says("#estimate", "About ")
	v.picture("columns-and-format")
	v.accessible("with columns and format open")
	v.makes()
	v.press(card(1) + " [data-do=download]")
	name, file := v.download()
	if name != "for the boss.csv" {
		v.errorf("the file is saved as %s", name)
	}
	rows, bom := strings.CutPrefix(string(file), "\xef\xbb\xbf")
	if !bom || !strings.HasPrefix(rows, "id,total,note\r\n") {
		v.fatalf("the file begins %q", rows[:min(len(rows), 40)])
	}
	v.equals([]byte(strings.ReplaceAll(rows, "\r\n", "\n")), `COPY (SELECT id, total, CASE WHEN note ~ '^[=+@\t\r-]' THEN '''' || note ELSE note END AS note
		FROM orders ORDER BY ordered_on, id) TO STDOUT (FORMAT csv, HEADER)`)
}

// severalFiles has an export split, and gets its files one by one and by the
// command.
func severalFiles(v *visit) {
	v.open()
	v.choose("#dataset", "orders")
	v.press("#format-group summary")
	v.fill("#maxRowsPerFile", "99")
	v.says("#problem-maxRowsPerFile", "from 100")
	v.choose("#maxRowsPerFile", "")
	v.fill("#maxRowsPerFile", "9000")
	v.says("#format-summary", "9000 rows in each")
	v.says("#estimate", "About ")
	v.makes()
	v.says(card(1)+" .facts", "3 files")
	v.allowClipboard()
	v.press(card(1) + " [data-do=curl]")
	v.says(card(1)+" [data-do=curl]", "Copied")
	v.press(card(1) + " [data-do=download]")
	v.says(card(1)+" .files", "9,000 rows")
	v.picture("several-files")
	v.accessible("with a list of files")
	var together []byte
	for i := range 3 {
		v.press(fmt.Sprintf("%s .files li:nth-child(%d) a", card(1), i+1))
		name, file := v.download()
		if !strings.HasSuffix(name, fmt.Sprintf("-%05d.csv.gz", i+1)) {
			v.errorf("file %d is saved as %s", i+1, name)
		}
		together = append(together, v.withoutHeader(v.unpack(file), i > 0)...)
	}
	v.equals(together, allOrders)
	v.shell(js[string](v, "navigator.clipboard.readText()"))
	files, err := filepath.Glob(filepath.Join(v.downloads, "*.csv.gz"))
	v.must(err)
	if len(files) != 3 {
		v.errorf("the command saves %v", files)
	}
}

// ownBucket has the file put into another bucket.
func ownBucket(v *visit) {
	v.open()
	v.choose("#dataset", "orders")
	v.choose("#destination-name", "elsewhere")
	v.fill("#destination-prefix", "../up")
	v.see("#problem-destination-prefix")
	v.choose("#destination-prefix", "")
	v.fill("#destination-prefix", "2026/")
	v.says("#estimate", "About ")
	v.picture("own-bucket")
	v.accessible("with a destination")
	v.makes()
	v.says(card(1)+" .asked", "to elsewhere")
	id := v.newest()
	bucket, key := "delivery", "csv/2026/"+id+"/1.csv.gz"
	if _, err := v.Stack.Endpoints.S3Client().HeadObject(v.ctx, &s3.HeadObjectInput{Bucket: &bucket, Key: &key}); err != nil {
		v.errorf("the file isn't in the destination: %v", err)
	}
	if strings.Contains(v.text(card(1)+" .facts"), "stays for") {
		v.errorf("a file of somebody else's bucket is said to go: %s", v.text(card(1)+" .facts"))
	}
	v.getsFile(allOrders)
}

// withoutHeader is a file's rows behind its header, if they are wanted alone.
func (v *visit) withoutHeader(file []byte, wanted bool) []byte {
	if !wanted {
		return file
	}
	_, rows, _ := bytes.Cut(file, []byte("\n"))
	return rows
}

// template fills the form with what an earlier export asked for.
func template(v *visit) {
	body := `{"dataset":"users","filters":{"country_code":["DE","US"],"lifetime_value_min":"100","signup_date_from":"2023-01-02T03:04:05.678901Z","signup_date_to":"2024-12-31"},
		"columns":["email","id"],"format":{"delimiter":"~","compression":"none"},"fileName":"mine.csv"}`
	var first, second struct {
		ExportID string
		Request  map[string]any
	}
	v.ask("POST", "/exports/csv", body, &first)
	v.open()
	v.press(card(1) + " [data-do=reuse]")
	v.says("#estimate", "About ")
	v.press("#create")
	v.see(card(2))
	id := v.newest()
	if id == first.ExportID {
		v.fatalf("the new export isn't first in the list")
	}
	v.ask("GET", "/exports/"+id+"/status", "", &second)
	if a, b := fmt.Sprint(first.Request), fmt.Sprint(second.Request); a != b {
		v.errorf("asked for %s, and by the template for %s", a, b)
	}
	// A dataset that has lost a filter and a column: that must be seen.
	v.front.answerWith(answer{
		method: "GET", path: "/datasets", times: -1, status: 200, mediaType: "application/json",
		body: `{"datasets":[{"name":"users","description":null,"key":["id"],"columns":[{"name":"id","type":null}],"filters":[],"limits":{"rows":null,"bytes":null,"ageSeconds":null}}]}`,
	})
	v.must(chromedp.Do(v.ctx, chromedp.Reload()))
	v.see("#create")
	v.press(card(1) + " [data-do=reuse]")
	for _, lost := range []string{"country_code isn’t there", "signup_date_to isn’t there", "The column email"} {
		v.says("#form-problem", lost)
	}
}

// copiedCommands runs what the buttons put on the clipboard.
func copiedCommands(v *visit) {
	v.open()
	v.allowClipboard()
	v.fill("#filter-subscription_tier", "it's")
	v.fill("#filter-lifetime_value_min", "10")
	v.says("#estimate", "About ")
	v.press("#copy-request")
	v.says("#copy-request", "Copied")
	v.shell(js[string](v, "navigator.clipboard.readText()"))
	v.choose("#status-filter", "") // has the list asked for at once
	v.says(card(1)+" .asked", "subscription_tier: it's")
	v.status("completed")
	v.press(card(1) + " [data-do=curl]")
	v.says(card(1)+" [data-do=curl]", "Copied")
	v.shell(js[string](v, "navigator.clipboard.readText()"))
	_, file := v.download()
	v.equals(v.unpack(file), `COPY (SELECT * FROM users WHERE subscription_tier = 'it''s' AND lifetime_value >= 10 ORDER BY id) TO STDOUT (FORMAT csv, HEADER)`)
}

// allowClipboard answers yes where the browser would ask people.
func (v *visit) allowClipboard() {
	for _, name := range []string{"clipboard-read", "clipboard-write"} {
		_, err := chromedp.CallBrowser(v.ctx, browser.SetPermission, browser.SetPermissionParams{
			Permission: &browser.PermissionDescriptor{Name: name}, Setting: browser.PermissionSettingGranted,
			BrowserContextID: chromedp.FromContext(v.ctx).BrowserContextID,
		})
		v.must(err)
	}
}

// shell runs a command that the page gave, as people would.
func (v *visit) shell(command string) {
	cmd := exec.CommandContext(v.ctx, "/bin/sh", "-c", command)
	cmd.Dir = v.downloads
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + filepath.Dir(v.downloads), "CSVEXPORT_TOKEN=" + v.token}
	if out, err := cmd.CombinedOutput(); err != nil {
		v.fatalf("%s: %v\n%s", command, err, out)
	}
}

// keyboardAlone goes the whole way without a mouse.
func keyboardAlone(v *visit) {
	v.goTo("/")
	v.see("#token")
	key := func(keys string) { v.must(chromedp.Do(v.ctx, chromedp.KeyEvent(keys))) }
	tabTo := func(selector string) {
		for range 60 {
			if js[bool](v, fmt.Sprintf("document.activeElement.matches(%q)", selector)) {
				return
			}
			key(kb.Tab)
		}
		v.fatalf("60 times Tab don't lead to %s", selector)
	}
	tabTo("#token") // it has the focus already
	key(v.token + kb.Enter)
	v.see("#create")
	v.says("#estimate", "About ")
	tabTo("#create")
	if outline := js[string](v, "getComputedStyle(document.activeElement).outlineStyle"); outline == "none" {
		v.errorf("the focus can't be seen")
	}
	key(kb.Enter)
	v.status("completed")
	tabTo(card(1) + " [data-do=download]")
	key(kb.Enter)
	_, file := v.download()
	v.equals(v.unpack(file), allUsers)
	tabTo(card(1) + " [data-do=delete]")
	key(kb.Enter)
	v.see("#confirm")
	key(kb.Escape)
	v.wait("Escape closes the question", "!document.querySelector('#confirm').open")
	v.status("completed")
}
