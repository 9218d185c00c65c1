package carrier

import (
	"strings"
	"time"
)

// Meaning is what an operator's message says now. A warning, a stop, a top-up
// and an advertisement are four different things that share their words.
type Meaning string

// Meanings.
const (
	Nothing       Meaning = "nothing"
	Advertisement Meaning = "advertisement"
	Warning       Meaning = "warning"
	Resumed       Meaning = "resumed"
	Outage        Meaning = "outage"
	Stop          Meaning = "stop" // stopped, no reason in the text
	StopArrears   Meaning = "stop_arrears"
	StopQuota     Meaning = "stop_quota"
	StopExpired   Meaning = "stop_expired"
	StopAdmin     Meaning = "stop_admin"
	StopIMEI      Meaning = "stop_imei"
	Slow          Meaning = "slow" // slowed down: the plan is used up
)

// Message is what one message says.
type Message struct {
	Meaning Meaning
	// From and To are the hours of an Outage, where the text tells them; in the
	// zone of the service centre's time, which the hours are meant in.
	From, To time.Time
}

// maxSMSText bounds what is read of one message: ten concatenated parts.
const maxSMSText = 2000

// Classify says what a message from the operator says now; Read tells more.
func Classify(from, text string) Meaning { return Read(from, text, time.Time{}).Meaning }

// Read says what a message says of this line at the time when it was sent (zero
// where that is not told). A stop is one only where the clause says that it has
// happened, to this line: not to another number or service, not under a
// condition, not to come. The last thing that has happened counts. A message
// from an ordinary phone number says nothing: anybody can write one.
func Read(from, text string, sent time.Time) Message {
	if personal(from) || text == "" {
		return Message{Meaning: Nothing}
	}
	if otherBusiness(from, text) {
		return Message{Meaning: Nothing}
	}
	if len(text) > maxSMSText {
		text = strings.ToValidUTF8(text[:maxSMSText], "")
	}
	folded := Fold(text)
	m := Message{Meaning: words.read(folded).meaning()}
	if m.Meaning == Outage {
		m.From, m.To = hours(folded, sent)
	}
	return m
}

func (r *reading) meaning() Meaning {
	if r.all&(rOTP|rHoax|rElsewhere) != 0 {
		return Nothing
	}
	if r.all&rNotYours != 0 {
		r.events, r.cannot, r.promised = nil, -1, false
	}
	if len(r.events) > 0 {
		switch e := r.events[len(r.events)-1]; e.what {
		case rStop, rGone:
			if why := r.why(e); why != Stop || !r.works() {
				return why
			}
			return Outage
		case rSlow:
			return Slow
		default:
			return Resumed
		}
	}
	if r.works() {
		return Outage
	}
	if r.slow && r.stated(StopQuota) {
		return Slow
	}
	// No word for a stop, and yet one: what cannot be done, or what will come
	// back, with a reason that stands.
	at := r.cannot
	promise := at < 0
	if promise && r.promised && r.all&rNoCut == 0 && !r.warned && !r.denied {
		at = len(r.clauses) - 1
	}
	if at >= 0 {
		if why := r.why(event{rStop, at, len(r.clauses[at].text)}); why != Stop && r.stated(why) && !(promise && why == StopAdmin) {
			return why
		}
	}
	switch {
	case r.all&rAdvert != 0:
		return Advertisement
	case r.warned || r.all&rWarn != 0:
		return Warning
	}
	return Nothing
}

// works reports whether the message tells of work on the network or a fault of
// it that cuts the data, not of the operator's own systems.
func (r *reading) works() bool {
	if r.all&rNoCut != 0 || r.all&rAdvert != 0 {
		return false
	}
	for i := range r.clauses {
		c := &r.clauses[i]
		if c.has(rDesk) {
			return false
		}
	}
	for i := range r.clauses {
		c := &r.clauses[i]
		if !c.has(rPurpose) && (c.has(rWork) || c.has(rUpgrade) && c.has(rNet|rGrid)) {
			return true
		}
	}
	return false
}

// stated reports whether the reason itself is told as a fact somewhere.
func (r *reading) stated(why Meaning) bool {
	kind := map[Meaning]role{StopArrears: rArrears, StopQuota: rQuota, StopExpired: rExpired, StopAdmin: rAdmin, StopIMEI: rIMEI}[why]
	for i := range r.clauses {
		var a aspect
		for _, t := range r.clauses[i].tokens {
			if t.is(kind) && a.open() {
				return true
			}
			a.sign(t)
		}
	}
	return false
}

// lineWords are what a notice about a line cannot do without, whoever writes it.
// A shop, a bank or a car park stops services too, from the same kind of number.
var lineWords = [...]string{"流量", "上网", "号码", "门号", "号卡", "停机", "停话", "断网", "复机", "网络", "联网", "数据", "物联", "sim", "机卡", "卡号", "通信", "话费", "套餐",
	"卡片", "您的卡", "本卡", "该卡", "此卡", "设备", "终端", "基站", "信号", "移动", "联通", "电信", "广电", "imei"}

// otherBusiness reports whether a Chinese text from a rented number (106..., 95...;
// 1064 is the operators' own for IoT) speaks of no line at all.
func otherBusiness(from, text string) bool {
	rented := strings.HasPrefix(from, "106") && !strings.HasPrefix(from, "1064") || strings.HasPrefix(from, "95")
	if !rented || !strings.ContainsFunc(text, han) {
		return false
	}
	folded := Fold(text)
	for _, w := range lineWords {
		if strings.Contains(folded, w) {
			return false
		}
	}
	return true
}

// personal reports whether from is an ordinary subscriber's number.
func personal(from string) bool {
	n := strings.TrimPrefix(strings.TrimPrefix(strings.ReplaceAll(from, " ", ""), "+"), "86")
	for _, r := range n {
		if r < '0' || r > '9' {
			return false // alphanumeric sender
		}
	}
	if len(n) == 11 && n[0] == '1' && n[1] >= '3' {
		return true
	}
	return len(n) >= 11 && !strings.HasPrefix(n, "106") && !strings.HasPrefix(n, "100")
}
