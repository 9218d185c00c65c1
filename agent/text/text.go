// Package text holds every word that people read: the diagnosis classes with
// who must act, what to do and when it comes back, and the labels and hints of
// the command line and the page, in English and Chinese.
//
// It does not decide anything and does not know the state of the device. The
// Chinese is written for a technician in the field, not translated; both files
// have the same keys, which a test holds.
//
// Facts come from the project's field research: which stop returns by itself
// (plan used up: at the next cycle, up to three days late; arrears: after a
// top-up and a resume; by hand: never; expired: renewal within three months),
// the Unicom cycle on the 27th, the two rebinds a month of China Telecom, and
// the radio restart that a modem needs after its SIM was reopened.
package text

import (
	"embed"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"cellwarden/agent/diag"

	"github.com/BurntSushi/toml"
)

//go:embed en.toml zh.toml
var files embed.FS

// Lang is a language that texts exist in.
type Lang string

// The languages.
const (
	EN Lang = "en"
	ZH Lang = "zh"
)

// Langs lists every Lang.
var Langs = []Lang{EN, ZH}

// ClassText is what to say of one diagnosis class.
type ClassText struct {
	Title   string   // a few words: "欠费停机"
	Line    string   // one sentence that a merchant reads
	Who     string   // owner, technician, operator, backend, nobody
	What    string   // one sentence: what that person does
	Steps   []string // for a technician, in order
	Returns string   // whether and when it comes back by itself
}

// words is one language, flat: "layer.sim" -> "SIM 卡", and lists by key.
type words struct {
	one  map[string]string
	list map[string][]string
}

var (
	mu     sync.Mutex
	loaded = map[Lang]*words{}

	missing atomic.Uint64
)

// load reads a language at its first use: a device that speaks one language
// never parses the other.
func load(lang Lang) *words {
	mu.Lock()
	defer mu.Unlock()
	if w := loaded[lang]; w != nil {
		return w
	}
	w, err := parse(string(lang) + ".toml")
	if err != nil {
		// The files are part of the binary and a test reads them.
		panic(err)
	}
	loaded[lang] = w
	return w
}

func parse(name string) (*words, error) {
	b, err := files.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("text: %w", err)
	}
	var tree map[string]any
	if _, err := toml.Decode(string(b), &tree); err != nil {
		return nil, fmt.Errorf("text: %s: %w", name, err)
	}
	w := &words{map[string]string{}, map[string][]string{}}
	return w, w.flatten("", tree)
}

func (w *words) flatten(prefix string, tree map[string]any) error {
	for k, v := range tree {
		key := prefix + k
		switch v := v.(type) {
		case string:
			w.one[key] = v
		case map[string]any:
			if err := w.flatten(key+".", v); err != nil {
				return err
			}
		case []any:
			for _, e := range v {
				s, ok := e.(string)
				if !ok {
					return fmt.Errorf("text: %s: a list holds strings only", key)
				}
				w.list[key] = append(w.list[key], s)
			}
		default:
			return fmt.Errorf("text: %s: neither text, list nor table", key)
		}
	}
	return nil
}

// known maps any language to one that exists.
func known(lang Lang) Lang {
	if lang == ZH {
		return ZH
	}
	return EN
}

// find is the template of key in lang.
func find(lang Lang, key string) (string, bool) {
	s, ok := load(lang).one[key]
	return s, ok
}

// T is the text of key with {0}, {1} ... replaced by args. A missing text
// falls back to English, then to the key itself, and is counted. An argument
// "@grade.good" is itself looked up.
func T(lang Lang, key string, args ...string) string {
	lang = known(lang)
	s, ok := find(lang, key)
	if !ok && lang != EN {
		missing.Add(1)
		s, ok = find(EN, key)
	}
	if !ok {
		missing.Add(1)
		s = key
	}
	return fill(lang, s, args)
}

// Has reports whether key exists in lang itself.
func Has(lang Lang, key string) bool {
	_, ok := find(known(lang), key)
	return ok
}

// Missing counts how often a text was asked for that lang does not have.
func Missing() uint64 { return missing.Load() }

// Keys lists the keys of lang that hold one text, sorted.
func Keys(lang Lang) []string {
	return slices.Sorted(maps.Keys(load(known(lang)).one))
}

// Word is T(table.word), for words that come from elsewhere: one that the table
// does not have is shown as it is, and "" is the table's "unknown".
func Word(lang Lang, table, word string) string {
	if word == "" {
		word = "unknown"
	}
	if key := table + "." + word; Has(lang, key) {
		return T(lang, key)
	}
	return word
}

// Render is a diag.Text in lang. Where lang lacks the key, the English that t
// carries is shown rather than nothing.
func Render(lang Lang, t diag.Text) string {
	switch {
	case t.Key == "":
		return t.English
	case Has(lang, t.Key):
		return T(lang, t.Key, spoken(lang, t.Args)...)
	case t.English != "":
		missing.Add(1)
		return t.English
	}
	return T(lang, t.Key, t.Args...)
}

// English fills in the English of every sentence of d, for readers that have no
// table of words: JSON, backends, logs. d itself is not changed.
func English(d diag.Diagnosis) diag.Diagnosis {
	say := func(t *diag.Text) {
		if t.Key != "" {
			t.English = Render(EN, *t)
		}
	}
	d.Evidence, d.Against = slices.Clone(d.Evidence), slices.Clone(d.Against)
	d.Unknown, d.Gates = slices.Clone(d.Unknown), slices.Clone(d.Gates)
	for _, list := range [][]diag.Evidence{d.Evidence, d.Against} {
		for i := range list {
			say(&list[i].Fact)
		}
	}
	for i := range d.Unknown {
		say(&d.Unknown[i])
	}
	for i := range d.Gates {
		say(&d.Gates[i].Fact)
	}
	for _, t := range []*diag.Text{&d.Detail, &d.DecideBy, &d.Act.What} {
		say(t)
	}
	return d
}

// spoken turns arguments that are codes of the agent into words: the grade of a
// signal, the state and the reason that a SIM platform gives, a probe, an error. The
// English name of a network's cause is left out in another language: the
// sentence around its number says what it means.
func spoken(lang Lang, args []string) []string {
	out := slices.Clone(args)
	for i, a := range out {
		if head, name, ok := strings.Cut(a, " ("); ok && lang != EN && strings.Contains(head, " #") && strings.HasSuffix(name, ")") {
			out[i] = head
			continue
		}
		for _, table := range []string{"grade.", "platform.", "reason.", "probe.", "word."} {
			if a != "" && Has(lang, table+a) {
				out[i] = T(lang, table+a)
				break
			}
		}
		if lang != EN && out[i] == a {
			out[i] = strings.ReplaceAll(Reason(lang, a), ", ", "，")
		}
	}
	return out
}

// Variant reports whether lang says something of its own for a variant of code.
func Variant(lang Lang, code diag.Code, variant string) bool {
	return Has(lang, "class."+string(code)+"."+variant+".title")
}

// Class is what to say of code. Each variant that exists for the class ("pool",
// "interference") replaces what it says differently; later ones win.
func Class(lang Lang, code diag.Code, variants ...string) ClassText {
	lang = known(lang)
	w := load(lang)
	c := ClassText{Title: string(code), Who: "technician"}
	for _, v := range append([]string{""}, variants...) {
		key := "class." + string(code) + "."
		if v != "" {
			key += v + "."
		}
		set(&c.Title, w.one[key+"title"])
		set(&c.Line, w.one[key+"line"])
		set(&c.Who, w.one[key+"who"])
		set(&c.What, w.one[key+"what"])
		set(&c.Returns, w.one[key+"returns"])
		if steps := w.list[key+"steps"]; steps != nil {
			c.Steps = slices.Clone(steps)
		}
	}
	return c
}

func set(to *string, s string) {
	if s != "" {
		*to = s
	}
}

// Pick chooses a language: the flag when it names one, else the locale
// (LC_ALL, LC_MESSAGES or LANG, whichever the caller found first), else English.
func Pick(flag, env string) Lang {
	for _, s := range []string{flag, env} {
		switch {
		case strings.HasPrefix(strings.ToLower(s), "zh"):
			return ZH
		case s != "":
			return EN
		}
	}
	return EN
}

// fill replaces {0} to {9}. A placeholder without an argument becomes "?", so
// that a person sees that something is not known.
func fill(lang Lang, s string, args []string) string {
	if !strings.Contains(s, "{") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '{' || i+2 >= len(s) || s[i+2] != '}' || s[i+1] < '0' || s[i+1] > '9' {
			b.WriteByte(s[i])
			continue
		}
		n := int(s[i+1] - '0')
		switch {
		case n >= len(args) || args[n] == "":
			b.WriteByte('?')
		case strings.HasPrefix(args[n], "@") && Has(lang, args[n][1:]):
			b.WriteString(T(lang, args[n][1:]))
		default:
			b.WriteString(args[n])
		}
		i += 2
	}
	return b.String()
}
