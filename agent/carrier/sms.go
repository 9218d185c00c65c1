package carrier

import (
	_ "embed"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"
)

//go:embed sms.toml
var smsTOML string

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
)

type smsWords struct {
	Stop, Done, Notyet, Gone, Lifted, Arrears, Quota, Expired, Admin, Imei, Resumed, Warning, Outage, Advertisement []string
}

var words = func() smsWords {
	var w smsWords
	if _, err := toml.Decode(smsTOML, &w); err != nil {
		panic("carrier: sms.toml: " + err.Error()) // embedded, and read by every test
	}
	return w
}()

// maxSMSText bounds what is read of one message: ten concatenated parts.
const maxSMSText = 2000

// Classify says what a message from the operator says now. A stop counts only
// where one clause holds both a stop word and a sign that it has happened, and
// nothing before the word that takes it back ("为避免停机" is a warning, "将于" is
// not yet). Why it was stopped is looked for in the whole text. A message from
// an ordinary phone number says nothing: anybody can write one.
func Classify(from, text string) Meaning {
	if personal(from) || text == "" {
		return Nothing
	}
	if len(text) > maxSMSText {
		text = text[:maxSMSText]
	}
	t := strings.ReplaceAll(strings.ToLower(text), ". ", "; ") // a point in a figure parts nothing
	stopped, warned, back := false, false, resumed(t)
	for _, clause := range clauses(t) {
		if has(clause, words.Gone) {
			stopped = true
		}
		at, word := first(clause, words.Stop)
		if at < 0 {
			continue
		}
		before, after := clause[:at], clause[at+len(word):]
		if i, n := first(before, words.Notyet); i >= 0 && !takenBack(before, i, n) {
			warned = true
			continue
		}
		if has(clause, words.Lifted) {
			back = true
			continue
		}
		if has(before, words.Done) || has(clause, []string{"has been " + word, "is " + word, "was " + word}) ||
			strings.HasPrefix(after, "状态") || strings.HasPrefix(after, "中") || strings.HasPrefix(after, "处理") ||
			strings.Contains(after, "已生效") || strings.HasPrefix(after, " until") || strings.HasPrefix(word, "双") {
			stopped = true
		}
	}
	switch {
	case stopped && !back:
		return reason(t)
	case back:
		return Resumed
	case has(t, words.Advertisement):
		return Advertisement
	case has(t, words.Outage):
		return Outage
	case warned || has(t, words.Warning):
		return Warning
	}
	return Nothing
}

// takenBack says whether the hesitation at i is the tail of a stop's own words,
// such as 未 in 因未缴费已停机 where a done word follows it.
func takenBack(before string, i int, word string) bool {
	rest := before[i+len(word):]
	return (word == "未" || word == "如" || word == "若") && has(rest, []string{"已", "被", "现已"})
}

// resumed reports whether t says that it was paid or is back. What happens only
// afterwards (充值成功后将自动复机, 充值后可恢复使用) is a promise and not yet so.
func resumed(t string) bool {
	for _, clause := range clauses(t) {
		for rest := clause; ; {
			at, word := first(rest, words.Resumed)
			if at < 0 {
				break
			}
			before := rest[:at]
			rest = rest[at+len(word):]
			done := strings.HasPrefix(word, "已") || strings.Contains(word, "成功")
			if strings.HasPrefix(rest, "后") || strings.HasPrefix(rest, "之后") || !done && has(before, promised[:]) {
				continue
			}
			return true
		}
	}
	return false
}

// promised before the word for a return makes it one under a condition.
var promised = [...]string{"后", "可", "将", "如需", "请", "will ", "can ", "to be ", "once ", "after "}

func reason(t string) Meaning {
	switch {
	case has(t, words.Imei):
		return StopIMEI
	case has(t, words.Arrears), nothingLeft(t):
		return StopArrears
	case has(t, words.Quota):
		return StopQuota
	case has(t, words.Admin):
		return StopAdmin
	case has(t, words.Expired):
		return StopExpired
	}
	return Stop
}

// balanceNear is how many bytes behind the word for a balance its figure is
// looked for: 余额为人民币, "balance is currently".
const balanceNear = 24

// nothingLeft reports whether t tells a balance of nothing or less (余额为-3.20元,
// "balance is 0.00").
func nothingLeft(t string) bool {
	for _, word := range [...]string{"余额", "balance"} {
		_, after, ok := strings.Cut(t, word)
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
		figure := strings.TrimRight(after[at:end], ".")
		if v, err := strconv.ParseFloat(figure, 64); err == nil && v <= 0 {
			return true
		}
	}
	return false
}

func has(s string, list []string) bool {
	at, _ := first(s, list)
	return at >= 0
}

// first finds the earliest of the words in s; the longest of those that begin there.
func first(s string, list []string) (int, string) {
	at, word := -1, ""
	for _, w := range list {
		if i := strings.Index(s, w); i >= 0 && (at < 0 || i < at || i == at && len(w) > len(word)) {
			at, word = i, w
		}
	}
	return at, word
}

func clauses(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool {
		switch r {
		case '，', '。', '；', '！', '？', '【', '】', '、', ',', ';', '!', '?', '\n', '\r', '：':
			return true
		}
		return false
	})
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
