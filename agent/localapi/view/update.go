package view

import (
	"fmt"
	"time"

	"cellwarden/agent/localapi"
	"cellwarden/agent/text"
)

// Update is how updates of the agent stand, in lines.
func Update(lang text.Lang, s localapi.Status) []string {
	u := s.Update
	if u == nil {
		return []string{text.T(lang, "update.off")}
	}
	b := builder{lang: lang, s: s}
	where := b.t("update.packaged")
	if u.Slot != "" {
		where = b.t("update.slot", u.Slot, u.Package)
	}
	return append([]string{b.bracket(s.Version, where)}, b.update()...)
}

// update is what there is to say of updates besides what runs.
func (b *builder) update() (lines []string) {
	u := b.s.Update
	add := func(key string, args ...string) { lines = append(lines, b.t("update."+key, args...)) }
	if u.Trial != "" {
		add("trial", u.Trial)
	}
	if u.Source != "" {
		what := u.Offered
		if what == "" {
			what = u.Source
		}
		switch {
		case u.Size > 0:
			add("under_way", what, fmt.Sprintf("%d", u.Have*100/u.Size), Bytes(uint64(u.Size)))
		default:
			add("offered", what)
		}
		if w := u.Wait; w != nil {
			lines = append(lines, b.t("update."+w.Code))
		}
	}
	if r := u.Refused; r != nil {
		when := ""
		if t, err := time.Parse(time.RFC3339, r.At); err == nil && b.loc != nil {
			when = t.In(b.loc).Format(minuteLayout)
		}
		add("refused", b.join(r.Version, when), b.t("update."+r.Code))
	}
	if u.Failed != "" {
		add("failed", u.Failed)
	}
	return lines
}
