package carrier

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// clause is a part of a message that says one thing.
type clause struct {
	text     string
	tokens   []token
	sentence int
	asked    bool // it ends with a question mark
}

func (c *clause) has(r role) bool {
	for _, t := range c.tokens {
		if t.is(r) {
			return true
		}
	}
	return false
}

// before returns the roles of all words that stand before at.
func (c *clause) before(at int) role {
	var r role
	for _, t := range c.tokens {
		if t.at < at {
			r |= t.roles
		}
	}
	return r
}

// split parts folded text into clauses: at commas and colons, at sentence ends
// and brackets, and in English where a new statement is joined on.
func (l lexicon) split(s string) []clause {
	var out []clause
	start, sentence := 0, 0
	cut := func(end, next int, ends bool) {
		if body := strings.TrimSpace(s[start:end]); body != "" {
			c := clause{text: body, sentence: sentence, tokens: l.scan(body), asked: next > end && strings.HasPrefix(s[end:], "?") || strings.HasPrefix(s[end:], "？")}
			c.tokens = append(c.tokens, debt(body)...)
			c.tokens = append(c.tokens, speedOf(body)...)
			slices.SortStableFunc(c.tokens, func(a, b token) int { return a.at - b.at })
			c.tokens = append(c.tokens, c.reasonsInParts()...)
			slices.SortStableFunc(c.tokens, func(a, b token) int { return a.at - b.at })
			out = append(out, c)
		}
		if ends {
			sentence++
		}
		start = next
	}
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case strings.ContainsRune("。；！？;!?【】[]\n", r):
			cut(i, i+size, true)
		case r == '.' && fullStop(s, i):
			cut(i, i+size, true)
		case strings.ContainsRune("，,：:", r) && !inFigure(s, i, size):
			cut(i, i+size, false)
		case r == ' ':
			for _, joint := range joints {
				if strings.HasPrefix(s[i:], joint) {
					cut(i, i+1, false)
					break
				}
			}
		}
		i += size
	}
	cut(len(s), len(s), true)
	return out
}

var joints = [...]string{" and ", " but ", " so we", " so your", " so it", " so data", " so service", " so this", " so the ", " because "}

// fullStop tells the end of a sentence from a point in a figure, an address or
// an abbreviation.
func fullStop(s string, i int) bool {
	if i+1 >= len(s) {
		return true
	}
	next, _ := utf8.DecodeRuneInString(s[i+1:])
	return next == ' ' || next == '"' || next == ')' || han(next)
}

// inFigure reports whether the mark at i stands inside of a figure or a time
// (1,299; 10:05) or before one that belongs to it (余额:-3.20).
func inFigure(s string, i, size int) bool {
	digit := func(j int) bool { return j >= 0 && j < len(s) && s[j] >= '0' && s[j] <= '9' }
	sign := i+size < len(s) && s[i+size] == '-' && digit(i+size+1)
	return digit(i+size) && (digit(i-1) || strings.HasPrefix(s[i:], ":") || strings.HasPrefix(s[i:], "：")) || sign
}

// reasonsInParts finds the reasons that a noun and its verb tell together: for
// each verb the nearest noun of the clause decides, one before it first. A verb
// that is itself in a list of reasons keeps that where no noun says other.
func (c *clause) reasonsInParts() []token {
	var out []token
	for i, v := range c.tokens {
		unpaid := v.is(vPay) && c.before(v.at)&(rNotYet|rNeg) != 0
		if !unpaid && !v.is(vLack|vFull|vOver|vMismatch) {
			continue
		}
		noun := c.noun(i)
		var why role
		switch {
		case unpaid && noun&nMoney != 0:
			why = rArrears
		case v.is(vMismatch) && noun&nDevice != 0:
			why = rIMEI
		case v.is(vFull) && noun&nMoney != 0 && strings.Contains(c.text, "封顶"):
			why = rQuota // a cap on what may be spent: it is the use that is stopped
		case v.is(vLack|vFull) && noun&nMoney != 0:
			why = rArrears
		case v.is(vLack|vFull) && noun&nData != 0:
			why = rQuota
		case v.is(vOver) && noun&nTerm != 0:
			why = rExpired
		case v.is(vOver) && noun&nMoney != 0:
			why = rArrears
		}
		if why == 0 || v.is(why) {
			continue
		}
		c.tokens[i].roles &^= rArrears | rQuota | rExpired
		out = append(out, token{why, v.at, v.end})
	}
	return out
}

// noun gives the role of the noun that the verb at token i belongs to.
func (c *clause) noun(i int) role {
	const nouns = nMoney | nData | nTerm | nDevice
	for j := i; j >= 0; j-- {
		if n := c.tokens[j].roles & nouns; n != 0 {
			return n
		}
	}
	for _, t := range c.tokens[i:] {
		if n := t.roles & nouns; n != 0 {
			return n
		}
	}
	return 0
}

// balanceNear is how many bytes behind the word for a balance its figure is
// looked for: 余额为人民币, "balance is currently".
const balanceNear = 24

// speedOf finds a speed in figures: said of the line it is one that was set.
func speedOf(s string) []token {
	for _, unit := range [...]string{"kbps", "mbps", "kb/s", "mb/s", "kbit/s", "mbit/s"} {
		if at := strings.Index(s, unit); at > 0 && (s[at-1] == ' ' || s[at-1] >= '0' && s[at-1] <= '9') {
			return []token{{rDown, at, at + len(unit)}}
		}
	}
	return nil
}

// debt finds a balance of nothing or less (余额为-3.20元, "balance is 0.00"): a
// reason that no word tells.
func debt(s string) []token {
	for name, why := range map[string]role{"余额": rArrears, "balance": rArrears, "剩余流量": rQuota, "流量剩余": rQuota, "可用流量": rQuota} {
		before, after, ok := strings.Cut(s, name)
		if !ok {
			continue
		}
		at := strings.IndexAny(after, "-0123456789")
		if at < 0 || at > balanceNear {
			continue
		}
		end := at
		for end < len(after) && strings.IndexByte("-.0123456789", after[end]) >= 0 {
			end++
		}
		figure := strings.TrimRight(strings.Replace(after[at:end], "-", "", strings.Count(after[at:end], "-")-1), ".")
		if v, err := strconv.ParseFloat(figure, 64); err == nil && v <= 0 {
			return []token{{why, len(before), len(before) + len(name)}}
		}
	}
	return nil
}
