package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"cellwarden/agent/localapi/view"
	"cellwarden/agent/machine/evadts"
	"cellwarden/agent/text"
)

// maxFiles bounds one call of audit: a year of one machine's audits.
const maxFiles = 1000

// audited is one file's JSON object.
type audited struct {
	File string `json:"file"`
	*evadts.Audit
}

// audit reads audit files without an agent. A file with a line that is none of an
// audit's is named with that line and makes the exit code 1; what can be read of it
// is printed all the same.
func audit(_ context.Context, args []string, env Env) int {
	f := env.flags("audit")
	names, code, ok := f.parse(args, 1, maxFiles)
	if !ok {
		return code
	}
	lang := env.Lang(*f.lang)
	enc := json.NewEncoder(env.Stdout)
	enc.SetEscapeHTML(false)
	for i, name := range names {
		raw, err := readAudit(env, name)
		if err != nil {
			code = env.fail(lang, err)
			continue
		}
		a := evadts.Parse(raw)
		if *f.json {
			err = enc.Encode(audited{name, a})
		} else {
			if i > 0 {
				fmt.Fprintln(env.Stdout)
			}
			err = printAudit(env, lang, name, a)
		}
		if err != nil {
			return env.fail(lang, err)
		}
		if b := a.Broken(); b != nil {
			fmt.Fprintf(env.Stderr, "cellwarden: %s:%d: %s\n", name, b.Line, b.Detail)
			env.hint(lang, "audit_broken")
			code = exitFail
		}
	}
	return code
}

// readAudit reads one file, and one byte beyond what an audit may have, so that
// the reader can say so.
func readAudit(env Env, name string) ([]byte, error) {
	in := env.Stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	if in == nil {
		return nil, errors.New("audit: there is no standard input")
	}
	return io.ReadAll(io.LimitReader(in, evadts.MaxBytes+1))
}

// printAudit prints one audit for people: what it sold, what stands, and how far
// it can be believed.
func printAudit(env Env, lang text.Lang, name string, a *evadts.Audit) error {
	t := func(key string, args ...string) string { return text.T(lang, "audit."+key, args...) }
	var b strings.Builder
	row := func(key, said string) {
		if said != "" {
			fmt.Fprintf(&b, "  %s  %s\n", pad(t(key), 14), said)
		}
	}
	money := func(n evadts.Num) string {
		if !n.Known() {
			return "-"
		}
		return view.Money(n.V(), a.Identity.Decimals, a.Identity.Currency)
	}
	totals := func(v evadts.Totals) string {
		if !v.Value.Known() && !v.Count.Known() {
			return ""
		}
		return t("vends", v.Count.String(), money(v.Value))
	}
	fmt.Fprintln(&b, name)
	id := a.Identity
	row("machine", strings.Join(words(id.ID, id.Model, id.Serial), " "))
	row("sales", totals(a.Sales.Totals))
	row("cash", totals(a.Cash.Totals))
	row("cashless", totals(a.Cashless.Totals))
	if a.Cash.InTubes.Known() {
		row("tubes", money(a.Cash.InTubes))
	}
	row("g85", string(a.G85))
	for _, x := range a.Selections {
		said := t("vends", x.Count.String(), money(x.Value))
		if x.Level.Known() {
			said += ", " + t("left", x.Level.String())
		}
		fmt.Fprintf(&b, "  %s  %s\n", pad(clip(strings.Join(words(x.Selection, x.Name), " "), 24), 24), said)
	}
	for _, e := range a.Events {
		if e.Active {
			row("event", strings.Join(words(e.Code, eventName(lang, e), e.User), " "))
		}
	}
	for _, f := range a.Findings {
		at := ""
		if f.Line > 0 {
			at = fmt.Sprintf(":%d", f.Line)
		}
		row("finding", f.Code+at+": "+f.Detail)
	}
	_, err := io.WriteString(env.Stdout, b.String())
	for _, more := range a.Further {
		if err == nil {
			err = printAudit(env, lang, name, more)
		}
	}
	return err
}

// eventName is what a code means, "" for a maker's own.
func eventName(lang text.Lang, e evadts.Event) string {
	c, _, _ := evadts.FindCode(e.Code)
	if lang == text.ZH {
		return c.ZH
	}
	return c.EN
}

// words are those that say something.
func words(all ...string) (some []string) {
	for _, w := range all {
		if w != "" {
			some = append(some, w)
		}
	}
	return some
}
