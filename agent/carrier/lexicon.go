package carrier

import (
	_ "embed"
	"fmt"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/BurntSushi/toml"
)

// The words, one file a language. They are read together: operators mix them.
var (
	//go:embed words-zh.toml
	zhTOML string
	//go:embed words-en.toml
	enTOML string
)

// role is what a word does in a sentence; a word may have several.
type role uint64

const (
	rStop     role = 1 << iota // what a stop is called
	rStopBase                  // the same, as a bare verb (had to bar)
	rLimit                     // a stop, or a slow-down where it is said of the speed
	rGone                      // the number itself is gone
	rDead                      // a state that needs no sign that it has happened
	rCannot                    // not able to: a stop where the reason is told too
	rSlow
	rRate // the speed
	rDown // what was done to the speed
	rBack
	rOpen
	rPaid
	rActive
	rPast
	rEffect  // has taken effect, after the word for a stop
	rBecomes // changed to
	rFuture
	rCond
	rAfter
	rPurpose
	rAsk
	rOffer // asks, unless something has happened before it in the clause
	rNeg
	rNotYet
	rQuery
	rIgnore // if it is already so
	rCause
	rOther // another number
	rVAS   // another service
	rSide  // beside the data: calls, texts
	rNet   // the network
	rGrid  // the network as a word: its works, no other service
	rDesk  // the operator's own systems
	rMine  // this line, its card or its data
	rPack
	rArrears
	rArrearsWeak
	rQuota
	rQuotaWeak
	rExpired
	rExpiredWeak
	rAdmin
	rAdminWeak
	rIMEI
	// A noun, and what became of it: together in a clause they tell a reason.
	nMoney
	nData
	nTerm
	nDevice
	vLack
	vPay // lacks where it is denied
	vFull
	vOver
	vMismatch
	rOTP
	rHoax
	rElsewhere // another business altogether
	rNotYours
	rNoCut
	rWork
	rUpgrade
	rAdvert
	rWarn
	rSkip
)

// roleNames are the keys of the word files.
var roleNames = map[string]role{
	"stop": rStop, "stop_base": rStopBase, "limit": rLimit, "gone": rGone, "dead": rDead, "cannot": rCannot,
	"slow": rSlow, "rate": rRate, "down": rDown, "back": rBack, "open": rOpen, "paid": rPaid, "active": rActive,
	"past": rPast, "effect": rEffect, "becomes": rBecomes, "future": rFuture, "cond": rCond, "after": rAfter,
	"purpose": rPurpose, "ask": rAsk, "offer": rOffer, "neg": rNeg, "notyet": rNotYet, "query": rQuery, "ignore": rIgnore, "cause": rCause,
	"other": rOther, "vas": rVAS, "side": rSide, "net": rNet, "grid": rGrid, "desk": rDesk, "mine": rMine, "pack": rPack,
	"arrears": rArrears, "arrears_weak": rArrearsWeak, "quota": rQuota, "quota_weak": rQuotaWeak,
	"expired": rExpired, "expired_weak": rExpiredWeak, "admin": rAdmin, "admin_weak": rAdminWeak, "imei": rIMEI,
	"n_money": nMoney, "n_data": nData, "n_term": nTerm, "n_device": nDevice,
	"v_pay": vPay, "v_lack": vLack, "v_full": vFull, "v_over": vOver, "v_mismatch": vMismatch,
	"otp": rOTP, "hoax": rHoax, "elsewhere": rElsewhere, "notyours": rNotYours, "nocut": rNoCut, "work": rWork, "upgrade": rUpgrade,
	"advert": rAdvert, "warn": rWarn, "skip": rSkip,
}

type word struct {
	text  string
	roles role
	open  bool // may go on: violat*
}

type lexicon map[rune][]word // by the first rune, the longest first

var words = func() lexicon {
	lex, err := newLexicon(zhTOML, enTOML)
	if err != nil {
		panic("carrier: " + err.Error()) // embedded, and read by every test
	}
	return lex
}()

func newLexicon(files ...string) (lexicon, error) {
	roles := map[string]role{}
	for _, file := range files {
		var lists map[string][]string
		if _, err := toml.Decode(file, &lists); err != nil {
			return nil, err
		}
		for key, list := range lists {
			r, ok := roleNames[key]
			if !ok {
				return nil, fmt.Errorf("words: unknown list %q", key)
			}
			for _, w := range list {
				if Fold(w) != w || w == "" {
					return nil, fmt.Errorf("words: %s: %q is not folded: want %q", key, w, Fold(w))
				}
				roles[w] |= r
			}
		}
	}
	lex := lexicon{}
	for w, r := range roles {
		text, open := strings.CutSuffix(w, "*")
		first, _ := utf8.DecodeRuneInString(text)
		lex[first] = append(lex[first], word{text, r, open})
	}
	for _, list := range lex {
		sort.Slice(list, func(i, j int) bool { return len(list[i].text) > len(list[j].text) })
	}
	return lex, nil
}

// token is a word found at a place of a clause.
type token struct {
	roles   role
	at, end int
}

func (t token) is(r role) bool { return t.roles&r != 0 }

// scan reads the words of s from left to right, the longest at each place.
func (l lexicon) scan(s string) []token {
	var out []token
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		if w := l.at(s, i, r); w.text != "" {
			out = append(out, token{w.roles, i, i + len(w.text)})
			i += len(w.text)
			continue
		}
		i += size
	}
	return out
}

func (l lexicon) at(s string, i int, first rune) word {
	for _, w := range l[first] {
		if !strings.HasPrefix(s[i:], w.text) {
			continue
		}
		end := i + len(w.text)
		if w.roles&rDead != 0 && utf8.RuneCountInString(w.text) == 2 && l.longer(s, i+size(first)) {
			continue // 已停 in 已停机: that is a word of its own
		}
		if letter(s, i) && i > 0 && letter(s, i-1) && s[i] != '\'' || !w.open && letter(s, end-1) && (letter(s, end) || end+1 < len(s) && s[end] == '\'' && s[end+1] == 't') {
			continue
		}
		return w
	}
	return word{}
}

// longer reports whether a word for a stop of several characters begins at i.
func (l lexicon) longer(s string, i int) bool {
	first, _ := utf8.DecodeRuneInString(s[i:])
	for _, w := range l[first] {
		if w.roles&(rStop|rGone) != 0 && strings.HasPrefix(s[i:], w.text) && utf8.RuneCountInString(w.text) > 1 {
			return true
		}
	}
	return false
}

func size(r rune) int { return utf8.RuneLen(r) }

// letter reports whether a Latin letter or figure stands at i.
func letter(s string, i int) bool {
	if i < 0 || i >= len(s) {
		return false
	}
	c := s[i]
	return c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
}
