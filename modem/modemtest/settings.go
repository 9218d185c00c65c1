package modemtest

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// maxGarbage bounds one burst of noise: 1 MB is 90 s of a 115200 line.
	maxGarbage = 1 << 20
	// maxSplit bounds the piece size: above it, splitting changes nothing.
	maxSplit = 4096
)

// A verb is a setting or an event: a line of the modem or script section that
// is not a reply.
type verb struct {
	usage string
	help  string
	event bool // happens at a time, so not in the modem section
	parse func(args string) (action, error)
}

// verbs is filled in init, because some of its functions refer back to it.
var verbs map[string]verb

func init() {
	verbs = map[string]verb{
		"sim":      {usage: "sim ready|absent|not-ready|pin|puk|failure|busy|wrong", help: "state of the card, in every reply that depends on it", parse: parseSIM},
		"reg":      {usage: "reg home|roaming|searching|denied|idle|unknown|emergency [cause=N] [type=N] [domain=cs|ps|eps] [sticky]", help: "registration; cause is the reject number; sticky: the modem holds a denial until its radio is cycled; without a domain it is for all, ps is 2G/3G packet", parse: parseReg},
		"signal":   {usage: "signal none | rsrp=-91 [rsrq=-10] [sinr=12] [rssi=-63] [ber=99]", help: "level and quality; sinr is given out as written; without rssi it is rsrp+28 (10 MHz of LTE)", parse: parseSignal},
		"session":  {usage: "session active [addr=10.1.2.3] | closed [reject=33]", help: "the packet session; reject: +CGACT=1 is refused with this ESM cause", parse: parseSession},
		"radio":    {usage: "radio on|off|airplane", help: "as +CFUN=1, 0 or 4, by somebody else than the host", parse: parseRadio},
		"cell":     {usage: "cell [tac=4977] [ci=B973F53] [pci=134] [earfcn=1300] [band=3] [act=7] [duplex=FDD|TDD]", help: "the serving cell; tac and ci in hex", parse: parseCell},
		"operator": {usage: "operator 460-00 [NAME]", help: "the network on the air: code and name", parse: parseOperator},
		"ceer":     {usage: "ceer TEXT", help: "what +CEER answers", parse: parseCEER},
		"echo":     {usage: "echo on|off", help: "as ATE1, ATE0", parse: parseOnOff(func(p *Player, on bool) { p.m.echo = on })},
		"split":    {usage: "split N|off", help: "everything leaves in pieces of N bytes, 5 ms apart", parse: parseSplit},
		"delay":    {usage: "delay COMMAND TIME [once]", help: "late answers to one command (* matches a tail); 0s ends it", parse: parseDelay},
		"default":  {usage: "default COMMAND", help: "forget the explicit reply to a command", parse: parseDefault},

		"urc":          {event: true, usage: "urc LINE", help: "an unsolicited line, exactly as given", parse: parseURC},
		"mute":         {event: true, usage: "mute", help: "the module hangs: reads nothing, says nothing", parse: parsePlain((*Player).mute)},
		"unmute":       {event: true, usage: "unmute", help: "the hang ends; what was sent meanwhile is lost", parse: parsePlain((*Player).unmute)},
		"garbage":      {event: true, usage: "garbage BYTES", help: "noise on the line, NULs among it", parse: parseGarbage},
		"vanish":       {event: true, usage: "vanish TIME", help: "the port disappears (USB drop) and comes back", parse: parseFor((*Player).vanish)},
		"hold-write":   {event: true, usage: "hold-write TIME", help: "the port takes no bytes; they wait", parse: parseFor((*Player).holdWrite)},
		"reboot":       {event: true, usage: "reboot", help: "the module restarts: mute, boot banner, settings of the host forgotten", parse: parsePlain((*Player).reboot)},
		"prompt-never": {event: true, usage: "prompt-never", help: "commands that ask for text never show their prompt", parse: parsePlain(func(p *Player) { p.promptNever = true })},
		"prompt-ok":    {event: true, usage: "prompt-ok", help: "they do again", parse: parsePlain(func(p *Player) { p.promptNever = false })},
		"sms":          {event: true, usage: "sms from=10086 [at=2026-01-27T09:00:00+08:00] text=...", help: "a message arrives and is stored; at is the service centre's time, else the scenario's clock; text is the rest of the line", parse: parseSMS},
	}
}

// A Setting describes one setting or event for people.
type Setting struct {
	Name, Usage, Help string
	Event             bool // allowed in the script and on the control channel only
}

// Settings lists every setting and event, settings first.
func Settings() []Setting {
	var list []Setting
	for _, name := range slices.Sorted(maps.Keys(verbs)) {
		v := verbs[name]
		list = append(list, Setting{name, v.usage, v.help, v.event})
	}
	slices.SortStableFunc(list, func(a, b Setting) int {
		switch {
		case a.Event == b.Event:
			return 0
		case b.Event:
			return -1
		}
		return 1
	})
	return list
}

func parsePlain(do func(*Player)) func(string) (action, error) {
	return func(args string) (action, error) {
		if args != "" {
			return nil, fmt.Errorf("unexpected %q", args)
		}
		return do, nil
	}
}

func parseFor(do func(*Player, time.Duration)) func(string) (action, error) {
	return func(args string) (action, error) {
		d, err := ParseTime(args)
		if err != nil {
			return nil, err
		}
		return func(p *Player) { do(p, d) }, nil
	}
}

func parseOnOff(do func(*Player, bool)) func(string) (action, error) {
	return func(args string) (action, error) {
		if args != "on" && args != "off" {
			return nil, fmt.Errorf("%q is neither on nor off", args)
		}
		return func(p *Player) { do(p, args == "on") }, nil
	}
}

// options reads "key=value" words, refusing keys that are not in known.
func options(words []string, known ...string) (map[string]string, error) {
	values := map[string]string{}
	for _, w := range words {
		key, value, found := strings.Cut(w, "=")
		if !slices.Contains(known, key) {
			return nil, fmt.Errorf("unknown word %q", w)
		}
		if found && value == "" {
			return nil, fmt.Errorf("%s has no value", key)
		}
		if _, twice := values[key]; twice {
			return nil, fmt.Errorf("%s is there twice", key)
		}
		values[key] = value
	}
	return values, nil
}

// number reads an option into n where it was given.
func number(values map[string]string, key string, n *int, least, most int) error {
	text, given := values[key]
	if !given {
		return nil
	}
	v, err := parseCount(text, least, most)
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	*n = v
	return nil
}

func parseSIM(args string) (action, error) {
	if !slices.Contains(simWords, args) {
		return nil, fmt.Errorf("unknown state %q", args)
	}
	return func(p *Player) { p.setSIM(args) }, nil
}

func parseReg(args string) (action, error) {
	words := strings.Fields(args)
	if len(words) == 0 {
		return nil, fmt.Errorf("which state?")
	}
	stat, known := regWords[words[0]]
	if !known {
		return nil, fmt.Errorf("unknown state %q", words[0])
	}
	values, err := options(words[1:], "cause", "type", "domain", "sticky")
	if err != nil {
		return nil, err
	}
	r := registration{stat: stat}
	if err := number(values, "cause", &r.cause, 1, 255); err != nil {
		return nil, err
	}
	if err := number(values, "type", &r.causeType, 0, 1); err != nil {
		return nil, err
	}
	if v, given := values["sticky"]; given {
		if v != "" || stat != statDenied {
			return nil, fmt.Errorf("sticky goes with denied and takes no value")
		}
		r.sticky = true
	}
	domains := []domain{domainCS, domainPS, domainEPS}
	if word, given := values["domain"]; given {
		d, known := domainWords[word]
		if !known {
			return nil, fmt.Errorf("unknown domain %q", word)
		}
		domains = []domain{d}
	}
	return func(p *Player) { p.setReg(r, domains) }, nil
}

func parseSignal(args string) (action, error) {
	if args == "none" {
		return func(p *Player) { p.m.signal = signal{} }, nil
	}
	values, err := options(strings.Fields(args), "rsrp", "rsrq", "sinr", "rssi", "ber")
	if err != nil {
		return nil, err
	}
	s := signal{known: true, rsrq: -10, sinr: 12, ber: 99}
	if _, given := values["rsrp"]; !given {
		return nil, fmt.Errorf("rsrp is missing")
	}
	for _, o := range []struct {
		key         string
		n           *int
		least, most int
	}{
		{"rsrp", &s.rsrp, -157, -30},
		{"rsrq", &s.rsrq, -43, 20},
		{"sinr", &s.sinr, -30, 250},
		{"ber", &s.ber, 0, 99},
	} {
		if err := number(values, o.key, o.n, o.least, o.most); err != nil {
			return nil, err
		}
	}
	s.rssi = s.rsrp + rssiAboveRSRP
	if err := number(values, "rssi", &s.rssi, -130, -20); err != nil {
		return nil, err
	}
	return func(p *Player) { p.m.signal = s }, nil
}

func parseSession(args string) (action, error) {
	words := strings.Fields(args)
	switch {
	case len(words) > 0 && words[0] == "active":
		values, err := options(words[1:], "addr")
		if err != nil {
			return nil, err
		}
		return func(p *Player) { p.setSession(true, values["addr"], 0) }, nil
	case len(words) > 0 && words[0] == "closed":
		values, err := options(words[1:], "reject")
		if err != nil {
			return nil, err
		}
		reject := 0
		if err := number(values, "reject", &reject, 1, 255); err != nil {
			return nil, err
		}
		return func(p *Player) { p.setSession(false, "", reject) }, nil
	}
	return nil, fmt.Errorf("neither active nor closed: %q", args)
}

func parseRadio(args string) (action, error) {
	level, known := map[string]int{"on": 1, "off": 0, "airplane": 4}[args]
	if !known {
		return nil, fmt.Errorf("unknown state %q", args)
	}
	return func(p *Player) { p.setRadio(level) }, nil
}

func parseCell(args string) (action, error) {
	values, err := options(strings.Fields(args), "tac", "ci", "pci", "earfcn", "band", "act", "duplex")
	if err != nil {
		return nil, err
	}
	if len(values) == 0 {
		return nil, fmt.Errorf("nothing to set")
	}
	for _, key := range []string{"tac", "ci"} {
		if v, given := values[key]; given {
			if _, err := strconv.ParseUint(v, 16, 36); err != nil {
				return nil, fmt.Errorf("%s: %q is not a hex number", key, v)
			}
		}
	}
	if v, given := values["duplex"]; given && v != "FDD" && v != "TDD" {
		return nil, fmt.Errorf("duplex: %q is neither FDD nor TDD", v)
	}
	set := func(c *cell) error {
		for _, o := range []struct {
			key  string
			n    *int
			most int
		}{{"pci", &c.pci, 1007}, {"earfcn", &c.earfcn, 262143}, {"band", &c.band, 256}, {"act", &c.act, 15}} {
			if err := number(values, o.key, o.n, 0, o.most); err != nil {
				return err
			}
		}
		for key, s := range map[string]*string{"tac": &c.tac, "ci": &c.ci, "duplex": &c.duplex} {
			if v, given := values[key]; given {
				*s = strings.ToUpper(v)
			}
		}
		return nil
	}
	if err := set(&cell{}); err != nil {
		return nil, err
	}
	return func(p *Player) {
		p.change(byNetwork, func() { _ = set(&p.m.cell) }) // checked above
	}, nil
}

func parseOperator(args string) (action, error) {
	plmn, name, _ := strings.Cut(args, " ")
	if err := checkPLMN(plmn); err != nil {
		return nil, err
	}
	plmn, name = strings.ReplaceAll(plmn, "-", ""), strings.TrimSpace(name)
	if name == "" {
		name = operatorName(plmn)
	}
	return func(p *Player) { p.m.plmn, p.m.operator = plmn, name }, nil
}

func parseCEER(args string) (action, error) {
	if args == "" {
		return nil, fmt.Errorf("which text?")
	}
	return func(p *Player) { p.m.ceer = args }, nil
}

func parseSplit(args string) (action, error) {
	if args == "off" {
		return func(p *Player) { p.split = 0 }, nil
	}
	n, err := parseCount(args, 1, maxSplit)
	if err != nil {
		return nil, err
	}
	return func(p *Player) { p.split = n }, nil
}

func parseDelay(args string) (action, error) {
	words := strings.Fields(args)
	once := len(words) > 0 && words[len(words)-1] == "once"
	if once {
		words = words[:len(words)-1]
	}
	if len(words) < 2 {
		return nil, fmt.Errorf("needs a command and a time")
	}
	d, err := ParseTime(words[len(words)-1])
	if err != nil {
		return nil, err
	}
	r := newRule(strings.Join(words[:len(words)-1], " "))
	return func(p *Player) { p.setDelay(delay{rule: r, by: d, once: once}) }, nil
}

func parseDefault(args string) (action, error) {
	if args == "" {
		return nil, fmt.Errorf("which command?")
	}
	r := newRule(args)
	return func(p *Player) { p.dropRule(r) }, nil
}

func parseURC(args string) (action, error) {
	line, err := unescape(args)
	if err != nil {
		return nil, err
	}
	if line == "" {
		return nil, fmt.Errorf("which line?")
	}
	return func(p *Player) { p.urc(line) }, nil
}

func parseGarbage(args string) (action, error) {
	n, err := parseCount(args, 1, maxGarbage)
	if err != nil {
		return nil, err
	}
	return func(p *Player) { p.garbage(n) }, nil
}

// deviceChecks refuses bad values of the device keys that the simulator reads.
// Other keys are free.
var deviceChecks = map[string]func(string) error{
	"carrier":  checkPLMN,
	"imei":     checkDigits(15, 15),
	"imsi":     checkDigits(14, 15),
	"iccid":    checkDigits(18, 20),
	"pin":      checkDigits(4, 8),
	"unlisted": func(v string) error { return checkOneOf(v, "normal", "unsupported", "silent") },
	"family":   func(v string) error { return checkOneOf(v, families...) },
	"creg-max": func(v string) error { _, err := parseCount(v, 0, 3); return err },
	"cereg-max": func(v string) error {
		_, err := parseCount(v, 0, 5)
		return err
	},
	"clock": func(v string) error {
		if _, err := time.Parse(time.RFC3339, v); err != nil {
			return fmt.Errorf("%q is not a time such as 2026-01-05T08:00:00+08:00", v)
		}
		return nil
	},
}

func checkOneOf(v string, words ...string) error {
	if !slices.Contains(words, v) {
		return fmt.Errorf("%q is none of %s", v, strings.Join(words, ", "))
	}
	return nil
}

func checkPLMN(v string) error {
	mcc, mnc, found := strings.Cut(v, "-")
	if !found || len(mcc) != 3 || len(mnc) < 2 || len(mnc) > 3 || !allDigits(mcc+mnc) {
		return fmt.Errorf("%q is not a network code such as 460-00", v)
	}
	return nil
}

func checkDigits(least, most int) func(string) error {
	return func(v string) error {
		if len(v) < least || len(v) > most || !allDigits(v) {
			// The value is an identity: it stays out of the message.
			return fmt.Errorf("not %d to %d digits", least, most)
		}
		return nil
	}
}

func allDigits(s string) bool {
	return strings.Trim(s, "0123456789") == "" && s != ""
}
