package transcript

import (
	"regexp"
	"strings"
	"sync"
)

// dir says who sent a line.
type dir int

const (
	unknown dir = iota
	sent
	received
)

// piece is one line of the modem's dialogue, or of a tool.
type piece struct {
	text string
	dir  dir
	tool string // the program that a log names
}

var ansi = lazy("\x1b\\[[0-9;?]*[A-Za-z]|\x1b[()][A-B0-2]|\x1b[=>]")

// A wrapper is something that stands before the modem's own line. What it
// matches is taken off; a group "tool" names the program.
type wrapper struct {
	name string
	expr string
	dir  dir
}

func w(name, re string, d dir) wrapper { return wrapper{name, re, d} }

// wrapperRE are their expressions, made at their first use.
var wrapperRE = sync.OnceValue(func() (all []func() *regexp.Regexp) {
	for _, x := range wrappers {
		all = append(all, lazy(x.expr))
	}
	return all
})

const (
	clockRE = `\d{1,2}:\d{2}:\d{2}(?:[.,:]\d{1,9})?`
	dateRE  = `(?:\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/]\d{1,2}(?:[-/]\d{2,4})?)`
)

// wrappers in the order in which they are tried; each may come again.
var wrappers = []wrapper{
	w("syslog", `^(?:<\d{1,3}>)?(?:[A-Z][a-z]{2} )?[A-Z][a-z]{2} {1,2}\d{1,2} `+clockRE+`(?: \d{4})? (?:[a-z]+\.[a-z]+ |\S+ )(?P<tool>[\w./@-]+)(?:\[\d+\])?: ?`, unknown),
	w("time", `^[\[(<]?`+dateRE+`[T _,]{1,2}`+clockRE+`(?: ?(?:Z|UTC|[+-]\d{2}:?\d{2}))?[\])>]?[:,;|]?(?:[\s\x{2192}]+|$|[-]+ )`, unknown),
	w("time", `^[\[(<]`+clockRE+`[\])>][:,;|]? ?`, unknown),
	w("time", `^`+clockRE+`(?:[:,;|]? +|[:;|>])(?:- )?`, unknown),
	w("time", `^[\[(<]?`+dateRE+`[T _,]{1,2}`+clockRE+`[\])>]`, unknown),
	w("kernel time", `^\[ *\d+\.\d{3,9}\] ?`, unknown),
	w("uptime", `^\[?\d{4,16} ?ms\]?:? ?`, unknown),
	w("uptime", `^\d{8,12} +`, unknown),
	w("uptime", `^(?:\+|T\+)\d+(?:\.\d+)?s? +`, unknown),
	w("logcat", `^ *\d{1,6} +\d{1,6} [VDIWEF] (?P<tool>[\w.-]+) *: ?`, unknown),
	w("logcat", `^[VDIWEF]/(?P<tool>[\w.-]+) *(?:\( *\d+\))? *: ?`, unknown),
	w("esp log", `^[IWEDV] \(\d+\) (?P<tool>[\w.-]+): `, unknown),
	w("zephyr log", `^\[`+clockRE+`,\d{3}\] <\w{3}> (?P<tool>[\w.-]+): `, unknown),
	w("zephyr log", `^<(?:dbg|inf|wrn|err)> (?P<tool>[\w.-]+): `, unknown),
	w("chat log", `^(?:chat\[\d+\]: )`, unknown),
	w("chat send", `^send \(`, sent),
	w("direction", `^(?i:\[(?:tx|send|sent|out|>>?|→|host|dte|w|发送|发)\]|\((?:tx|out)\))[: ]*`, sent),
	w("direction", `^(?i:\[(?:rx|recv|rcvd|received|in|<<?|←|modem|dce|r|接收|收)\]|\((?:rx|in)\))[: ]*`, received),
	w("direction", `^(?i:(?:at |uart |modem |serial )?(?:tx|send|sent|sending|sending command|out|write|writing|written|wrote|cmd|command|request|req|host|dte|pc|mcu|发送|发送数据|发|下发))(?: ?[\[(]\d+(?: bytes)?[\])])? ?(?:[:：>=|]+|-+>|→◇|→|◇) ?`, sent),
	w("direction", `^(?i:(?:at |uart |modem |serial )?(?:rx|recv|rcvd|received|receive|in|read|reading|resp|response|reply|answer|answered|got|modem|dce|module|modem says|接收|接收数据|收|返回|应答|回复))(?: ?[\[(]\d+(?: bytes)?[\])])? ?(?:[:：<=|]+|<-+|-+>|←◆|←|◆) ?`, received),
	w("direction", `^(?i:at) ?[>] ?`, sent),
	w("direction", `^(?i:at) ?[<] ?`, received),
	w("log level", `^\[(?i:info|debug|trace|warn|warning|error|notice|dbg|inf|wrn|err|verbose|d|i|w|e|v)\][: ]*`, unknown),
	w("log level", `^(?:INFO|DEBUG|TRACE|WARN|WARNING|NOTICE|VERBOSE|<info>|<warn>|<error>|<debug>|daemon\.\w+|info|debug|warn)[: ]+`, unknown),
	w("arrow", `^(?:>{1,3}|-{1,3}>|={1,2}>|→|⇒|»|⟶|↑) ?`, sent),
	w("arrow", `^(?:<-{1,3}|<={1,2}|<{1,3}|←|⇐|«|⟵|↓) ?`, received),
	w("shell prompt", `^[\w.-]+@[\w.-]+[ :][~\w/ .-]*[#$] `, unknown),
	w("shell prompt", `^[#$%] (?:sudo )?`, unknown),
	w("tag", `^\[[A-Za-z/][\w ./:@-]{0,31}\][: ]*`, unknown),
	w("line number", `^ *\d{1,6}[\t|] ?`, unknown),
	w("tag", `^\w{1,16} \(\d+\): `, unknown),
	w("table", `^\| ?`, unknown),
	w("quote", `^[A-Za-z_][\w.]{0,24}\((?:b?["'])`, sent),
}

// maxPeel bounds what stands around one line: a syslog line with a level, a tag,
// a time and an arrow has five.
const maxPeel = 8

// breaks are line ends that were written out.
var breaks = lazy(`(?i)<cr>|<lf>|<ln>|<nl>|<crlf>|\[cr\]|\[lf\]|\[crlf\]|\{cr\}|\{lf\}|<0x0[da]>|<0[da]>|\{0[da]\}|\\x0[da]|\\u000[da]|\\0?1[25]|\\r|\\n|␍|␊|↵|&#1[03];|%0[da]|⏎`)

// caret line ends, kept apart: Huawei's ^MODE begins with one.
var caret = lazy(`\^[MJ](?:[^A-Z]|$|\^|OK|AT|ERROR)`)

// trailing time stamps, and the remarks of chat.
var trailing = lazy(`\s+[\[(]?(?:` + dateRE + `[ T])?` + clockRE + `[\])]?$|\s+-- got it$|\s+\[\d+ ?ms\]$|\s+\(\d+ bytes\)$`)

// trailingAt is where a time stamp or remark behind the line begins; 0 without.
func trailingAt(line string) int {
	from := max(0, len(line)-48) // the longest of them
	if t := trailing().FindStringIndex(line[from:]); t != nil {
		return from + t[0]
	}
	return 0
}

// unwrap gives the modem's or tool's lines of one raw line. met is told the name
// of each wrapper.
func unwrap(raw string, met func(string)) []piece {
	p := piece{text: strings.TrimSpace(raw)}
	for range maxPeel {
		if !peel(&p, met) {
			break
		}
	}
	text, broken := unescape(unquoteAll(p.text, met))
	if broken {
		met("written line ends")
	}
	var out []piece
	for _, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if t := trailingAt(line); t > 0 {
			met("time after")
			line = strings.TrimSpace(line[:t])
		}
		line = unquoteAll(line, met)
		if line == "" {
			continue
		}
		for _, part := range parts(line) {
			out = append(out, piece{part, p.dir, p.tool})
		}
	}
	return out
}

// peel takes one wrapper off p. A line that is a modem's as it stands keeps what
// it begins with.
func peel(p *piece, met func(string)) bool {
	if p.text == "" || plainModem(p.text) {
		return false
	}
	end := breaks().FindStringIndex(p.text)
	if end != nil && end[0] == 0 {
		return false // a line end that was written out, and no arrow
	}
	for i, x := range wrappers {
		re := wrapperRE()[i]()
		m := re.FindStringSubmatchIndex(p.text)
		if m == nil || end != nil && m[1] > end[0] {
			continue // it would cut into a written line end
		}
		rest := strings.TrimSpace(p.text[m[1]:])
		if rest == "" && x.dir == unknown {
			continue
		}
		if i := re.SubexpIndex("tool"); i > 0 && m[2*i] >= 0 {
			p.tool = p.text[m[2*i]:m[2*i+1]]
		}
		if x.dir != unknown {
			p.dir = x.dir
		}
		if x.name == "chat send" {
			rest = strings.TrimSuffix(rest, ")")
		}
		met(x.name)
		p.text = rest
		return rest != ""
	}
	return false
}

// unescape writes real line ends for written-out ones.
func unescape(s string) (string, bool) {
	out := s
	if strings.ContainsAny(s, "<[{\\␍␊↵&%⏎") {
		out = breaks().ReplaceAllString(s, "\n")
	}
	for strings.Contains(out, "^") {
		m := caret().FindStringIndex(out)
		if m == nil {
			break
		}
		out = out[:m[0]] + "\n" + out[m[0]+2:]
	}
	return out, out != s
}

// unquoteAll takes a line out of the quotes of a program's log: b'AT+CSQ', "OK".
func unquoteAll(s string, met func(string)) string {
	for range 3 {
		body := s
		for _, pre := range [...]string{`b'`, `b"`, `u'`, `'`, `"`, "`"} {
			if strings.HasPrefix(body, pre) {
				q := pre[len(pre)-1:]
				inner := strings.TrimRight(body[len(pre):], ",;)")
				cut, ok := strings.CutSuffix(inner, q)
				if bare := strings.ReplaceAll(cut, `\`+q, ""); ok && !strings.Contains(bare, q) {
					body = strings.ReplaceAll(cut, `\`+q, q)
				} else if len(pre) == 2 && !strings.Contains(inner, q) {
					body = inner
				}
				break
			}
		}
		body = strings.TrimSpace(body)
		if body == s {
			break
		}
		met("quoted")
		s = body
	}
	for _, q := range [...]string{`'`, `"`} {
		if strings.Count(s, q) == 1 { // its partner stood on another line
			s = strings.TrimSpace(strings.TrimSuffix(strings.TrimRight(s, ",;)"), q))
		}
	}
	return s
}
