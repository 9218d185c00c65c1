package explain

import (
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"cellwarden/agent/diag"
)

// seeds is how often each case is damaged anew. CELLWARDEN_SEEDS asks for more.
func seeds(t *testing.T, usual int) int {
	if v := os.Getenv("CELLWARDEN_SEEDS"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil {
			t.Fatalf("CELLWARDEN_SEEDS: %v", err)
		}
		return n
	}
	return usual
}

// damaged takes some of the evidence away by chance: each cause field, each
// line that names a cause, each answer to +CEER and each number of a CME error
// is lost or kept for itself; the vendor is renamed; questions that ask of
// different things change places.
func damaged(c Case, rng *rand.Rand) Case {
	c, _ = shuffled(c, rng)
	c, _ = drifted(c, rng)
	c.Vendor, c.Model = "Acme", "Z"+strconv.Itoa(rng.IntN(100))
	coin := func() bool { return rng.IntN(2) == 0 }
	mapLines(&c, func(l string) string {
		switch {
		case coin():
			return l
		case causeLine.MatchString(l):
			return ""
		}
		return cmeNumber.ReplaceAllString(regCause.ReplaceAllString(l, "$1"), "ERROR")
	})
	for i := range c.Exchange {
		e := &c.Exchange[i]
		if e.Cmd != nil && strings.Contains(strings.ToUpper(*e.Cmd), "CEER") && len(e.Resp) > 0 && coin() {
			e.Resp = []string{}
		}
	}
	return c
}

// drifted moves readings of the card and of the level anywhere in the exchange,
// past commands and lines of the session too, as long as nothing else spoke of
// the card or the radio: no start, no radio switch, no lock, no scan. Each of the
// two topics keeps its own order.
func drifted(c Case, rng *rand.Rand) (Case, bool) {
	c = copyOf(c)
	loose := func(e Entry) bool {
		name, ok := reads(e)
		return ok && (name == "card" || name == "radio")
	}
	for _, e := range c.Exchange {
		if loose(e) {
			continue
		}
		if e.At != nil || e.Cmd == nil && len(e.URC) == 0 {
			return c, false
		}
		said := strings.Join(e.URC, " ")
		if e.Cmd != nil {
			said += strings.ToUpper(*e.Cmd) + strings.Join(e.Resp, " ")
			if len(e.Resp) == 0 {
				return c, false // silence: what came before it matters
			}
		}
		for _, word := range []string{"CPIN", "SIM", "CFUN", "RDY", "READY", "START", "COPS", "LOCK", "CNMP", "CMNB", "BAND", "QCFG", "MODE", "Service", "CIMI", "CCID", "GSN", "SEARCH", "CESQ", "RSRP", "CREG", "CGREG", "CEREG", "SCAN", "*", "+CME ERROR: 1"} {
			if strings.Contains(said, word) && !(word == "SIM" && strings.Contains(said, "+SIMCOM")) {
				return c, false
			}
		}
	}
	var out, moving []Entry
	for _, e := range c.Exchange {
		if loose(e) {
			moving = append(moving, e)
		} else {
			out = append(out, e)
		}
	}
	if len(moving) == 0 || len(out) == 0 {
		return c, false
	}
	last := map[string]int{}
	for _, e := range moving {
		name, _ := reads(e)
		at := last[name] + rng.IntN(len(out)-last[name]+1)
		out = slices.Insert(out, at, e)
		for n, v := range last {
			if v >= at && n != name {
				last[n] = v + 1
			}
		}
		last[name] = at + 1
	}
	c.Exchange = out
	return c, true
}

// TestDamageByChance: whatever part of the evidence is lost and however the
// unrelated questions were ordered, the verdict is the same or less certain, and
// never another class.
func TestDamageByChance(t *testing.T) {
	n, same := 0, 0
	for seed := range seeds(t, 12) {
		rng := rand.New(rand.NewPCG(uint64(seed), 11))
		for _, file := range allFiles {
			for _, l := range load(t, file) {
				a, b := Judge(l.Case, nil), Judge(damaged(l.Case, rng), nil)
				n++
				if a.Class == b.Class && a.Verdict == b.Verdict {
					same++
				}
				if why := degraded(a, b); why != "" {
					t.Errorf("seed %d: %s: %s: was %s (%s), is %s (%s) %v", seed, l.ID, why, a.Class, a.Verdict, b.Class, b.Verdict, b.Candidates)
				}
				if b.Verdict == diag.AllWell && !slices.Contains(l.Accept, diag.Healthy) {
					t.Errorf("seed %d: %s: healthy", seed, l.ID)
				}
			}
		}
	}
	t.Logf("%d damaged cases, %.1f %% of the answers stayed", n, 100*float64(same)/float64(n))
}

// TestLostEntries: with one exchange lost, or one thing of the context not
// known, no case is confirmed to be what it is not.
func TestLostEntries(t *testing.T) {
	n, wrong := 0, 0
	judge := func(l labelled, c Case, what string) {
		n++
		d := Judge(c, nil)
		full := Judge(l.Case, nil)
		l.Case = c
		if l.result(d) == "wrong" && d.Class != full.Class {
			wrong++
			t.Logf("%s: without %s: is %s, said %s (%s) %v", l.ID, what, l.Class, d.Class, d.Verdict, d.Candidates)
			if d.Verdict == diag.Confirmed && d.Class != diag.SuspendedUnspecified {
				t.Errorf("%s: without %s: is %s, said %s (confirmed)", l.ID, what, l.Class, d.Class)
			}
		}
	}
	for _, file := range allFiles {
		for _, l := range load(t, file) {
			for i, e := range l.Exchange {
				if _, asks := reads(e); !asks && e.Cmd != nil && len(e.Resp) > 0 && e.Resp[len(e.Resp)-1] == "OK" {
					continue // it changed something: without it another thing happened
				}
				c := copyOf(l.Case)
				c.Exchange = slices.Delete(c.Exchange, i, i+1)
				judge(l, c, "entry "+strconv.Itoa(i))
			}
			if l.Context == nil {
				continue
			}
			for what, drop := range map[string]func(x *Context){
				"plan": func(x *Context) { x.Plan = nil }, "usage": func(x *Context) { x.Usage = nil },
				"platform": func(x *Context) { x.SIMStatus = nil }, "last good": func(x *Context) { x.LastGood = nil },
				"probes": func(x *Context) { x.Probes = nil }, "messages": func(x *Context) { x.SMS = nil },
				"history": func(x *Context) { x.History = nil }, "neighbours": func(x *Context) { x.Neighbours = nil },
				"the clock": func(x *Context) { x.ClockTrusted = nil },
			} {
				c, x := copyOf(l.Case), *l.Context
				drop(&x)
				c.Context = &x
				judge(l, c, what)
			}
		}
	}
	t.Logf("%d cases with one thing lost, %d turned wrong (%.2f %%)", n, wrong, 100*float64(wrong)/float64(n))
}
