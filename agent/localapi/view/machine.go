package view

import (
	"fmt"
	"math"
	"strings"

	"cellwarden/agent/localapi"
	"cellwarden/agent/machine/evadts"
	"cellwarden/agent/text"
)

// pickShown is how many columns the pick list of a status line names; cellwarden
// machine shows them all.
const pickShown = 6

// machine are the lines about the vending machine itself: what stands, what it sold
// today against its habit, the last audit, what to bring.
func (b *builder) machine(add func(key string, bad bool, parts ...string)) {
	m := b.s.Machine
	if m == nil {
		return
	}
	for _, n := range m.Notices {
		add("notice", true, b.Notice(n))
	}
	usual := ""
	if m.Usual >= 0 {
		usual = b.t("ui.usual", fmt.Sprintf("%.0f", math.Round(m.Usual)))
	}
	cost := ""
	if m.LostPerHour > 0 {
		cost = b.t("ui.hour_costs", Money(m.LostPerHour, m.Decimals, m.Currency))
	}
	from := ""
	if m.TodayFrom != "" {
		from = text.Word(b.lang, "sales_from", m.TodayFrom)
	}
	add("sales", false, b.t("ui.sold", fmt.Sprint(m.TodayCount), Money(m.TodayValue, m.Decimals, m.Currency)), usual, cost, from)
	audit, bus := b.t("ui.audit_none"), ""
	if m.LastAudit != nil {
		audit = b.t("ui.audit_at", b.clock(*m.LastAudit))
	}
	failed := ""
	if m.Failures > 0 {
		failed = b.t("ui.audit_failed", fmt.Sprint(m.Failures))
	}
	if m.Bus {
		bus = b.t("ui.bus_heard")
	}
	add("machine", m.Failures > 1, m.Name, audit, failed, bus)
	var list []string
	more := 0
	for _, c := range m.Stock {
		switch {
		case c.Fill == 0:
		case len(list) < pickShown:
			list = append(list, fmt.Sprintf("%s +%d", Column(c), c.Fill))
		default:
			more++
		}
	}
	if more > 0 {
		list = append(list, b.t("ui.more_columns", fmt.Sprint(more)))
	}
	add("fill", false, list...)
}

// Column is what a column is called.
func Column(c localapi.MachineColumn) string {
	return strings.TrimSpace(c.Selection + " " + c.Name)
}

// Notice is one notice in a line: what, where, how it is known, since when.
func (b *builder) Notice(n localapi.MachineNotice) string {
	what := text.Word(b.lang, "notice", n.Kind)
	if n.Selection != "" && n.Selection != "port" && n.Selection != "bus" && n.Selection != "bill" {
		what += " " + n.Selection
	}
	code := n.Code
	if c, _, _ := evadts.FindCode(n.Code); c.EN != "" {
		said := c.EN
		if b.lang == text.ZH {
			said = c.ZH
		}
		code += " " + said
	}
	return b.bracket(what, b.join(code, text.Word(b.lang, "how", n.How), b.clock(n.Since)))
}

// Money is an amount of minor units with the currency's decimals.
func Money(v int64, decimals int, currency string) string {
	s := fmt.Sprintf("%0*d", decimals+1, v)
	if decimals > 0 {
		s = s[:len(s)-decimals] + "." + s[len(s)-decimals:]
	}
	return strings.TrimSpace(s + " " + currency)
}

// MachinePage are the same lines for cellwarden machine.
func MachinePage(b Page) (rows []Row) {
	for _, r := range b.Rows {
		if r.Key == "notice" || r.Key == "sales" || r.Key == "machine" || r.Key == "fill" {
			rows = append(rows, r)
		}
	}
	return rows
}
