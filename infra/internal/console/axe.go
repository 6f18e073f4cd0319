package console

import (
	"fmt"
	"os"
	"strings"

	"github.com/chromedp/chromedp"
)

// accessible looks at the page as it is by axe-core: all its rules, with those
// of WCAG 2.2 AA and of best practice.
func (v *visit) accessible(when string) {
	if !js[bool](v, "typeof axe === 'object'") {
		script, err := os.ReadFile(v.Axe)
		v.must(err)
		// By the protocol, which the page's own policy doesn't bind.
		_, err = chromedp.Run(v.ctx, chromedp.Evaluate[bool](string(script)+"; true"))
		v.must(err)
	}
	found, err := chromedp.Run(v.ctx, chromedp.Evaluate[[]string](
		`axe.run(document, { resultTypes: ['violations'] }).then(r => r.violations.map(v => v.id + ' at ' + v.nodes.map(n => n.target.join(' ') + ' (' + (n.any[0]?.message ?? '') + ')').join(', ')))`,
		chromedp.EvalAwaitPromise))
	v.must(err)
	if len(found) > 0 {
		v.errorf("%s", fmt.Sprintf("axe-core, %s: %s", when, strings.Join(found, "; ")))
	}
}
