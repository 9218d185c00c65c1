package carrier

import (
	"regexp"
	"slices"
	"strings"
)

// event is one thing that a message says has happened, by clause and place.
type event struct {
	what   role // rStop, rGone, rSlow, rBack or rPaid
	clause int
	at     int
}

// reading is what is gathered of a message, clause by clause.
type reading struct {
	clauses  []clause
	events   []event
	all      role // the roles of all words
	warned   bool // a stop that will come, or may
	slow     bool // slower, as a plain fact: a stop of speed where the plan is told to be used up
	denied   bool // a stop that has not come
	promised bool // a return that will come: so something is stopped now
	pending  *event
	now      int // the clause being read
	cannot   int // the clause that says what cannot be done now, -1 without
}

// aspect is when a thing is, at one place of a clause: the signs before it.
type aspect struct {
	past, after, ask, neg, notYet    bool
	future, cond, purpose, cause     bool
	inherited                        bool // a condition of an earlier clause of the sentence
	effect, becomes, rate, stopAhead bool
}

// real reports whether what is said has happened.
func (a aspect) real() bool { return a.past && a.open() }

// open reports whether nothing says that it has not.
func (a aspect) open() bool {
	return !a.future && !a.cond && !a.purpose && !a.neg && !a.notYet && !a.ask && !a.after && (!a.inherited || a.past)
}

func (a *aspect) sign(t token) {
	switch {
	case t.is(rPast):
		a.past = true
		a.after, a.ask, a.neg, a.notYet = false, false, false, false
	case t.is(rFuture):
		a.future = true
	case t.is(rCond | rQuery):
		a.cond = true
	case t.is(rPurpose):
		a.purpose = true
	case t.is(rNotYet):
		a.notYet = true
	case t.is(rNeg):
		a.neg = true
	case t.is(rAfter):
		a.after = true
	case t.is(rAsk), t.is(rOffer) && !a.past:
		a.ask = true
	case t.is(rCause):
		a.cause = true
	case t.is(rRate):
		a.rate = true
	}
}

// read gathers what text (folded) says.
func (l lexicon) read(text string) *reading {
	r := &reading{clauses: l.split(text), cannot: -1}
	var cond, cause, spent bool
	var foreign role // the clause's subject is not this line: rOther, rVAS, rNet, rDesk
	for i := range r.clauses {
		c := &r.clauses[i]
		if i == 0 || c.sentence != r.clauses[i-1].sentence {
			cond, cause, spent, foreign = false, false, false, 0
		}
		switch f := subject(c); {
		case f != 0:
			foreign = f
		case c.has(rMine):
			foreign = 0
		}
		a := r.clause(i, aspect{inherited: cond, cause: cause}, foreign, spent)
		cond = cond || a.cond || a.purpose
		cause = cause || a.cause
		spent = spent || a.past && !a.future && !a.cond && c.has(rArrears|rQuota|rExpired|rAdmin|rIMEI)
		for _, t := range c.tokens {
			r.all |= t.roles
		}
	}
	return r
}

// forNumber is something done for a number that is named: one's own is "your
// number" (您的号码1064****3321).
var forNumber = regexp.MustCompile(`(?:为|给|替|帮)(?:用户)?[0-9][0-9*x]{6,}`)

// oneOfSeveral are words by which the holder of an account is told of one of its
// lines, named by its number: not this one.
var oneOfSeveral = [...]string{"on your account", "under your account", "in your account", "linked to your account", "attached to your account",
	"associated with your account", "that you pay for", "under your name", "registered in your name"}

// subject tells a clause that speaks of another number or service, wherever it
// names it; the operator's own systems and the network only where they stand
// before what is said.
func subject(c *clause) role {
	if forNumber.MatchString(c.text) {
		return rOther
	}
	if strings.ContainsAny(c.text, "0123456789") {
		for _, holds := range oneOfSeveral {
			if strings.Contains(c.text, holds) {
				return rOther
			}
		}
	}
	for _, t := range c.tokens {
		switch {
		case t.is(rOther | rVAS):
			return rVAS
		case t.is(rSide) && !c.has(rMine&^rSide):
			return rVAS
		}
	}
	for _, t := range c.tokens {
		switch {
		case t.is(rStop | rGone | rDead | rCannot | rBack | rSlow):
			return 0
		case t.is(rDesk | rNet):
			return t.roles & (rDesk | rNet)
		}
	}
	return 0
}

// clause reads clause i and returns its signs at its end.
func (r *reading) clause(i int, a aspect, foreign role, spent bool) aspect {
	c := &r.clauses[i]
	r.now = i
	if c.asked {
		a.cond = true
	}
	add := func(what role, t token) {
		if foreign == 0 {
			r.events = append(r.events, event{what, i, t.at})
		}
	}
	for n, t := range c.tokens {
		rest := c.tokens[n+1:]
		switch {
		case t.is(rStop|rGone|rDead|rStopBase) || t.is(rLimit) && !(a.rate && t.is(rDown)):
			r.stop(c, t, rest, a, spent, add)
		case t.is(rCannot):
			if a.open() && foreign == 0 {
				r.cannot = i
			}
		case t.is(rSlow) || t.is(rDown) && (a.rate || said(rest, rRate)):
			switch {
			case a.real() || a.open() && (spent || a.cause):
				add(rSlow, t)
			case a.future || a.cond:
				r.warned = true
				r.pending = &event{rSlow, i, t.at}
			case a.open() && t.is(rSlow):
				r.slow = true
			}
		case t.is(rBack) || t.is(rOpen) && r.opens(i, c):
			r.back(c, t, a, spent, add)
		case t.is(rActive):
			if a.becomes {
				add(rBack, t)
			}
		case t.is(rPaid):
			if followed(c, t, "后", "之后") || a.cond || a.future || a.purpose || a.ask || a.neg || a.notYet || c.has(rIgnore) {
				break
			}
			add(rPaid, t)
			a.past = true
		}
		if t.is(rEffect) && a.past && !a.stopAhead && r.pending != nil && r.clauses[r.pending.clause].sentence == c.sentence && foreign == 0 {
			r.events = append(r.events, *r.pending) // what will be, and has taken effect
			r.pending = nil
		}
		if t.is(rBecomes) {
			a.becomes, a.past = true, true
		}
		if t.is(rStop) {
			a.stopAhead = true
		}
		if strings.Contains(t.word(c), "已") {
			a.past = true // the sign is inside of the word: 流量已超
		}
		a.sign(t)
	}
	return a
}

// stop judges a word for a stop by the signs before and after it.
func (r *reading) stop(c *clause, t token, rest []token, a aspect, spent bool, add func(role, token)) {
	what := rStop
	if t.is(rGone) {
		what = rGone
		if c.has(rPack) {
			return
		}
		a.past = a.past || strings.HasPrefix(c.text[t.at:], "已") || strings.HasPrefix(c.text[t.at:], "被")
	}
	for _, x := range rest {
		switch {
		case x.is(rBecomes):
			return // what it was before
		case x.is(rBack|rOpen) && !t.is(rDead):
			return // a return of it: said there
		case x.is(rEffect):
			a.effect = true
		case x.is(rPast) && !x.is(rFuture):
			a.effect = a.effect || !a.future
		}
		if x.is(rStop) {
			break
		}
	}
	if c.has(rPack) && !c.has(rMine) && !strings.ContainsAny(t.word(c), "机网卡号话") {
		return // what was bought besides has ended
	}
	latin := letter(c.text, t.at)
	named := false // 欠费停机: the reason stands before it as one word, and nothing follows
	for _, x := range c.tokens {
		named = named || x.end == t.at && x.is(rArrears|rQuota|rExpired|rAdmin|rIMEI) && t.end == len(c.text)
	}
	switch {
	case t.is(rStopBase):
		if a.real() && strings.HasSuffix(strings.TrimSpace(c.text[:t.at]), "had to") {
			add(rStop, t)
		} else if a.future || a.cond {
			r.warned = true
		}
		return
	case followed(c, t, "的", "提醒", "通知", "原因", "风险", "短信", "问题", "一事", "规则", "查询", "申请", "前"):
		return
	case a.neg || a.notYet, once(c, t), withdrawn(c, t):
		r.denied = true
		return
	case a.future || a.cond || a.purpose || a.inherited && !a.past:
		r.warned = true
		return
	case a.effect && !a.after, a.real():
	case t.at == 0 && r.after("status", "状态"):
	case t.is(rDead) && a.open():
	case a.open() && (a.cause || spent || a.becomes || named):
	case a.open() && latin && c.before(t.at)&rMine != 0 && strings.HasSuffix(t.word(c), "ed"):
	default:
		r.warned = r.warned || a.after
		return
	}
	add(what, t)
}

// once reports whether the clause tells of a stop in the past that is told for
// another reason: 上月曾因欠费停机2次.
func once(c *clause, t token) bool {
	before := strings.ReplaceAll(c.text[:t.at], "未曾", "")
	return strings.Contains(before, "曾") || strings.Contains(before, "previously ") || strings.Contains(before, "used to be ")
}

// withdrawn reports whether the stop itself was called off, behind it in the
// clause: 停机业务已撤销, "the suspension was cancelled".
func withdrawn(c *clause, t token) bool {
	for _, off := range [...]string{"撤销", "已取消", "取消成功", "已作废", "未通过", "办理失败", "受理失败", "not gone ahead", "was withdrawn", "has been withdrawn",
		"was cancelled", "has been cancelled", "was canceled", "has been canceled", "was reversed", "has been reversed"} {
		if strings.Contains(c.text[t.end:], off) {
			return true
		}
	}
	return false
}

// back judges a word for a return.
func (r *reading) back(c *clause, t token, a aspect, spent bool, add func(role, token)) {
	paid := false
	for _, e := range r.events {
		paid = paid || e.what == rPaid && r.clauses[e.clause].sentence == c.sentence
	}
	effect := strings.HasPrefix(c.text[t.end:], "成功") || strings.HasPrefix(c.text[t.end:], "完成")
	switch {
	case a.notYet && !a.inherited:
		add(rStop, t) // not yet back: still stopped
	case a.neg || a.cond:
	case a.future || a.purpose || a.ask || a.after || followed(c, t, "后", "之后"):
		r.promised = r.promised || !a.inherited && !a.purpose
	case a.past || effect || containsVerb(t.word(c)):
		add(rBack, t)
	case paid:
		add(rBack, t)
	default:
		r.promised = r.promised || !a.inherited
	}
}

// containsVerb reports whether a word for a return has its own sign that it has
// happened inside: "is back on", "has been lifted".
func containsVerb(word string) bool {
	for _, v := range [...]string{"is ", "are ", "has been "} {
		if strings.Contains(word, v) {
			return true
		}
	}
	return false
}

// opens reports whether a word for opening in clause i is said of the line.
func (r *reading) opens(i int, c *clause) bool {
	if c.has(rIMEI | rPack) {
		return false
	}
	if c.has(rMine | rStop | rDead | rLimit) {
		return true
	}
	return i > 0 && r.clauses[i-1].sentence == c.sentence && r.clauses[i-1].has(rMine|rStop|rPaid|rArrears)
}

// after reports whether the clause before the one being read ends with one of
// words: "Status: suspended".
func (r *reading) after(words ...string) bool {
	for _, w := range words {
		if r.now > 0 && strings.HasSuffix(r.clauses[r.now-1].text, w) {
			return true
		}
	}
	return false
}

// said reports whether one of tokens has role r.
func said(tokens []token, r role) bool {
	for _, t := range tokens {
		if t.is(r) {
			return true
		}
	}
	return false
}

func (t token) word(c *clause) string { return c.text[t.at:t.end] }

func followed(c *clause, t token, tails ...string) bool {
	for _, tail := range tails {
		if strings.HasPrefix(c.text[t.end:], tail) {
			return true
		}
	}
	return false
}

// why finds the reason of the event: in its own clause before it, then back
// through its sentence, then behind it, then in the rest of the message; what
// stands under a condition or only comes tells nothing. A word that names no
// reason by itself (pay, next month) counts where nothing better is found.
func (r *reading) why(e event) Meaning {
	for _, x := range r.events {
		if x.what == rGone {
			return StopExpired
		}
	}
	var order []int
	here := r.clauses[e.clause].sentence
	for i := e.clause; i >= 0; i-- {
		order = append(order, i)
	}
	for i := e.clause + 1; i < len(r.clauses); i++ {
		order = append(order, i)
	}
	// The same sentence first, the rest in order of nearness.
	var sorted []int
	for _, same := range [...]bool{true, false} {
		for _, i := range order {
			if (r.clauses[i].sentence == here) == same {
				sorted = append(sorted, i)
			}
		}
	}
	var strong, weak Meaning
	for _, i := range sorted {
		for _, t := range r.reasons(i, e) {
			switch {
			case t.is(rIMEI):
				return StopIMEI
			case strong != "":
			case t.is(rArrears):
				strong = StopArrears
			case t.is(rQuota):
				strong = StopQuota
			case t.is(rExpired):
				strong = StopExpired
			case t.is(rAdmin):
				strong = StopAdmin
			case weak != "":
			case t.is(rQuotaWeak | rPack):
				weak = StopQuota
			case t.is(rArrearsWeak):
				weak = StopArrears
			case t.is(rExpiredWeak):
				weak = StopExpired
			case t.is(rAdminWeak):
				weak = StopAdmin
			}
		}
	}
	switch {
	case strong != "":
		return strong
	case weak != "":
		return weak
	case r.clauses[e.clause].before(e.at)&rOffer != 0:
		return StopAdmin // 办理停机: somebody asked for it
	}
	return Stop
}

// reasons lists the words of clause i that tell a reason and stand as facts, in
// the order in which they count for e: nearest before it, then behind it.
func (r *reading) reasons(i int, e event) []token {
	c := &r.clauses[i]
	var before, behind []token
	a := aspect{}
	for _, t := range c.tokens {
		if t.is(rArrears | rArrearsWeak | rQuota | rQuotaWeak | rExpired | rExpiredWeak | rAdmin | rAdminWeak | rIMEI | rPack) {
			unreal := a.cond || a.purpose || a.future && t.is(rArrears|rQuota|rExpired|rIMEI)
			if !unreal && (i < e.clause || i == e.clause && t.at <= e.at) {
				before = append([]token{t}, before...)
			} else if !unreal {
				behind = append(behind, t)
			}
		}
		a.sign(t)
	}
	slices.SortStableFunc(before, func(a, b token) int { return b.at - a.at })
	return append(before, behind...)
}
