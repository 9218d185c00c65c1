package explain

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"cellwarden/agent/diag"
)

// A mutation takes evidence away from a case, or changes what must not matter.
// It reports whether it changed anything.
type mutation struct {
	name    string
	neutral bool // nothing that counts is changed: the answer must be the same
	group   bool // it puts false evidence for a stop in: the group is a fair answer
	change  func(c *Case) bool
}

// mapLines applies f to every line that the modem sent; "" drops the line.
func mapLines(c *Case, f func(line string) string) bool {
	changed := false
	each := func(lines []string) []string {
		if lines == nil {
			return nil
		}
		out := []string{}
		for _, l := range lines {
			m := f(l)
			changed = changed || m != l
			if m != "" || l == "" {
				out = append(out, m)
			}
		}
		return out
	}
	for i := range c.Exchange {
		c.Exchange[i].Resp, c.Exchange[i].URC = each(c.Exchange[i].Resp), each(c.Exchange[i].URC)
	}
	return changed
}

var (
	// regCause is <AcT>,<cause_type>,<reject_cause> at the end of a registration
	// line, with the <rac> that +CGREG puts between.
	regCause  = regexp.MustCompile(`^(\+C(?:5G|E|G)?REG: .*?),[01],\d+\s*$`)
	cmeNumber = regexp.MustCompile(`^\+CME ERROR: .+$`)
	causeLine = regexp.MustCompile(`^(\+CNEC_|\^REJINFO|#CEERNET|#CEER)`)
	swaps     = regexp.MustCompile(`(\+C(?:5G|E|G)?REG: .*,0,|\+CNEC_[A-Z0-9]+: |#CEERNET: |\+CME ERROR: 1|reject",)(07|7|15)\b`)
)

func dropRegCauses(c *Case) bool {
	return mapLines(c, func(l string) string { return regCause.ReplaceAllString(l, "$1") })
}

// dropCauseLines: URCs vanish, a query for a cause is answered with a bare error.
func dropCauseLines(c *Case) bool {
	return mapLines(c, func(l string) string {
		if causeLine.MatchString(l) {
			return ""
		}
		return l
	})
}

func silenceCEER(c *Case) bool {
	changed := false
	for i := range c.Exchange {
		e := &c.Exchange[i]
		if e.Cmd != nil && strings.Contains(strings.ToUpper(*e.Cmd), "CEER") && len(e.Resp) > 0 {
			e.Resp, changed = []string{}, true
		}
	}
	return changed
}

func plainErrors(c *Case) bool {
	return mapLines(c, func(l string) string { return cmeNumber.ReplaceAllString(l, "ERROR") })
}

var mutations = []mutation{
	{"vendor renamed", true, false, func(c *Case) bool { c.Vendor, c.Model = "Acme", "Z1"; return true }},
	{"registration causes dropped", false, false, dropRegCauses},
	{"cause lines dropped", false, false, dropCauseLines},
	{"+CEER silent", false, false, silenceCEER},
	{"CME errors without number", false, false, plainErrors},
	{"no cause of any kind", false, false, func(c *Case) bool {
		a, b, d, e := dropRegCauses(c), dropCauseLines(c), silenceCEER(c), plainErrors(c)
		return a || b || d || e
	}},
	{"7 and 15 swapped", false, true, func(c *Case) bool {
		return mapLines(c, func(l string) string {
			return swaps.ReplaceAllStringFunc(l, func(m string) string {
				switch { // 107 and 115 are 7 and 15 as errors of a command (TS 27.007 §9.2.2)
				case m == "+CME ERROR: 107":
					return "+CME ERROR: 115"
				case m == "+CME ERROR: 115":
					return "+CME ERROR: 107"
				case strings.HasPrefix(m, "+CME"):
					return m
				}
				if head, ok := strings.CutSuffix(m, "15"); ok {
					return head + "7"
				}
				return strings.TrimSuffix(m, "7") + "15"
			})
		})
	}},
}

// copyOf is a case that can be changed without changing c.
func copyOf(c Case) Case {
	c.Exchange = slices.Clone(c.Exchange)
	for i := range c.Exchange {
		c.Exchange[i].Resp, c.Exchange[i].URC = slices.Clone(c.Exchange[i].Resp), slices.Clone(c.Exchange[i].URC)
	}
	return c
}

var certainty = map[diag.Verdict]int{diag.Undecided: 0, diag.Likely: 1, diag.Confirmed: 2, diag.AllWell: 2}

var groupMembers = []diag.Code{diag.Arrears, diag.OverQuota, diag.AdminSuspended, diag.ExpiredOrCancelled}

// degraded says what is wrong with answer b of a case whose full evidence gave
// a, "" when nothing is: the same class no surer than before, the group for its
// member, or no decision.
func degraded(a, b diag.Diagnosis) string {
	switch {
	case b.Verdict == diag.Undecided:
	case b.Class == a.Class && certainty[b.Verdict] <= certainty[a.Verdict]:
	case b.Class == diag.SuspendedUnspecified && slices.Contains(groupMembers, a.Class):
	case b.Class == a.Class:
		return "surer than before"
	case a.Verdict == diag.Undecided && (first(a) == b.Class || b.Class == diag.SuspendedUnspecified && slices.Contains(groupMembers, first(a))):
		return "decided with less"
	default:
		return "another class"
	}
	return ""
}

func first(d diag.Diagnosis) diag.Code {
	if len(d.Candidates) == 0 {
		return ""
	}
	return d.Candidates[0].Class
}

var allFiles = []string{"corpus/transcripts-open.json", "corpus/transcripts2-open.json", "corpus/cases-open.json", "corpus/cases2-open.json", "own-cases.json", "dialect-cases.json",
	"adverse-cases.json", "rules-cases.json"}

// TestLessEvidenceOnlyLessCertain: what was taken away may leave the answer or
// make it less certain; it may never turn it into another class.
func TestLessEvidenceOnlyLessCertain(t *testing.T) {
	for _, m := range mutations {
		n, kept := 0, 0
		for _, file := range allFiles {
			for _, l := range load(t, file) {
				c := copyOf(l.Case)
				if !m.change(&c) {
					continue
				}
				n++
				a, b := Judge(l.Case, nil), Judge(c, nil)
				if a.Class == b.Class && a.Verdict == b.Verdict {
					kept++
				}
				say := func(why string) {
					t.Errorf("%s: %s: %s: was %s (%s), is %s (%s) %v", m.name, l.ID, why, a.Class, a.Verdict, b.Class, b.Verdict, b.Candidates)
				}
				if m.neutral && (a.Class != b.Class || a.Verdict != b.Verdict || a.MarginDB != b.MarginDB) {
					say("changed by what must not matter")
				} else if why := degraded(a, b); why != "" && !(m.group && b.Class == diag.SuspendedUnspecified) {
					say(why)
				}
				if b.Verdict == diag.AllWell && !slices.Contains(l.Accept, diag.Healthy) {
					say("healthy")
				}
			}
		}
		t.Logf("%-28s changed %3d cases, %3d answers stayed", m.name, n, kept)
		if n < 5 {
			t.Errorf("%s changed only %d cases: it proves nothing", m.name, n)
		}
	}
}

// reads are the commands that only ask. The order of those that ask of
// different things, within one uninterrupted run of such questions that were
// all answered, is the poller's choice and means nothing.
func reads(e Entry) (name string, ok bool) {
	if e.Cmd == nil || len(e.Resp) == 0 || len(e.URC) > 0 || e.At != nil {
		return "", false
	}
	c := strings.TrimPrefix(strings.ToUpper(strings.TrimSpace(*e.Cmd)), "AT")
	switch {
	case strings.ContainsAny(c, ";="):
		return "", false
	case strings.HasSuffix(c, "?"):
		return topic(strings.TrimSuffix(c, "?")), true
	case slices.Contains([]string{"+CSQ", "+CESQ", "+CIMI", "+CGSN", "+GSN", "+CCID", "+QCCID", "^SYSINFOEX", "^SYSINFO", "+QNWINFO", "#RFSTS", "%XMONITOR"}, c):
		return topic(c), true
	}
	return "", false
}

// topic joins the commands whose answers speak of one thing, so that the order
// among them does mean something: which reading is the newer one.
func topic(name string) string {
	for topic, names := range map[string]string{
		"card":         "+CPIN +CIMI +CCID +QCCID +ICCID +QSIMSTAT #QSS %XSIM ^SYSINFOEX ^SYSINFO",
		"radio":        "+CSQ +CESQ +QENG +QCSQ +CPSI #RFSTS %XMONITOR ^HCSQ +QNWINFO +CFUN +COPS",
		"registration": "+CREG +CGREG +CEREG +C5GREG #CEERNET +CEER",
		"session":      "+CGACT +CGPADDR +QIACT +CNACT +CGATT +NETOPEN +CGDCONT +XIIC +CIPSTATUS",
	} {
		if slices.Contains(strings.Fields(names), name) {
			return topic
		}
	}
	return name
}

// shuffled moves questions of different topics past each other.
func shuffled(c Case, rng *rand.Rand) (Case, bool) {
	c = copyOf(c)
	changed := false
	for range 4 * len(c.Exchange) {
		if len(c.Exchange) < 2 {
			break
		}
		i := rng.IntN(len(c.Exchange) - 1)
		a, ok := reads(c.Exchange[i])
		b, ok2 := reads(c.Exchange[i+1])
		if ok && ok2 && a != b {
			c.Exchange[i], c.Exchange[i+1] = c.Exchange[i+1], c.Exchange[i]
			changed = true
		}
	}
	return c, changed
}

func TestOrderOfUnrelatedQuestionsDoesNotMatter(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	n := 0
	for _, file := range allFiles {
		for _, l := range load(t, file) {
			a := Judge(l.Case, nil)
			for range 3 {
				c, changed := shuffled(l.Case, rng)
				if !changed {
					continue
				}
				n++
				if b := Judge(c, nil); a.Class != b.Class || a.Verdict != b.Verdict {
					t.Errorf("%s: was %s (%s), is %s (%s) with %s", l.ID, a.Class, a.Verdict, b.Class, b.Verdict, order(c))
				}
			}
		}
	}
	if n < 100 {
		t.Errorf("only %d shuffles", n)
	}
	t.Logf("%d shuffles", n)
}

func order(c Case) string {
	var out []string
	for _, e := range c.Exchange {
		if e.Cmd != nil {
			out = append(out, *e.Cmd)
		} else {
			out = append(out, fmt.Sprint(e.URC))
		}
	}
	return strings.Join(out, " | ")
}
