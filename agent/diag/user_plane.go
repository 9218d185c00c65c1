package diag

import (
	"cellwarden/agent/instant"
	"cellwarden/modem/threegpp"
	"cellwarden/protocol"
	"math"
	"strconv"
	"strings"
)

// freshProbes are the results that still speak, oldest first. Within the window
// all do; an older failure does as long as no success of the same target came
// after it, because in lasting trouble the agent asks ever more rarely. What
// never left the device (not_sent) and the time service (often blocked while
// all else works) prove nothing of the path.
func (k *Known) freshProbes() []ProbeResult {
	lastOK := map[string]instant.Instant{}
	gone := k.lostAt()
	for _, p := range k.probes {
		if p.res.Result == "ok" {
			lastOK[p.res.Target] = p.at
			if p.res.Probe == "broker" {
				lastOK["login"] = p.at
			}
		}
	}
	var out []ProbeResult
	others := true // the newest answer of somebody else, at that place
	for _, p := range k.probes {
		if p.res.Target == "third_party" && p.res.Result != "not_sent" {
			others = p.res.Result == "ok"
		}
		if p.res.Result == "not_sent" || p.res.Probe == "ntp" {
			continue
		}
		if p.res.Result == "ok" && p.at.Mono < gone.Mono {
			continue // it worked before the line was lost
		}
		ok, had := lastOK[p.res.Target]
		if p.res.Result == "unauthorized" {
			ok, had = lastOK["login"] // that a port opens takes no refused login back
		}
		lasting := p.res.Result != "ok" && k.within(p.at, failureWindow) && (!had || p.at.Mono > ok.Mono)
		if since, answers := lastOK["third_party"]; p.res.Target == "own" && p.res.Result == "timeout" && !others && answers && since.Mono > p.at.Mono {
			continue // it was silent while all was, and others answer since: it has to be asked anew
		}
		if k.within(p.at, probeWindow) || lasting {
			out = append(out, p.res)
		}
	}
	return out
}

// lostAt is when the line was last lost by the modem's own word, zero while it
// stands: since when no registration that data rests on was read, or the
// session closed. A probe that was answered after it proves that word wrong; one
// from before proves nothing any more.
func (k *Known) lostAt() instant.Instant {
	var at instant.Instant
	if k.registered() == no {
		packet := k.packetRead()
		for i := len(k.regReads) - 1; i >= 0; i-- {
			r := k.regReads[i]
			if packet && r.reg.Domain == threegpp.CS {
				continue
			}
			if r.reg.Stat.Registered() {
				break
			}
			at = r.at
		}
	}
	if k.sessionUp.ok && !k.sessionUp.value && k.sessionUp.at.Mono > at.Mono {
		at = k.sessionUp.at
	}
	return at
}

// userPlane sums the fresh probes by target.
type userPlane struct {
	ok, bad    map[string]int // by target
	last       map[string]ProbeResult
	flips      int          // changes between ok and not, where they went both ways; one clean loss is none
	redirect   *ProbeResult // the network answered in place of the host
	badCert    *ProbeResult // of the own service
	portal     *ProbeResult // a wrong certificate where the host is somebody else's
	clock      *ProbeResult
	capped     *ProbeResult // the rate stuck to a round cap
	carrierOK  bool         // DNS of the carrier answered last
	unanswered int          // probes that met silence
	tested     map[string]bool
	// slowConnects: of others it is only known that a port opens, and late, of the own
	// service only that what comes after that is silent: a slow line does both.
	slowConnects bool
	// loginRefused: the own service answered and would not let us in.
	loginRefused bool
	// largeStall: of others small exchanges are answered, and a TLS handshake, whose
	// packets are large, is not, no more than the own service's.
	largeStall bool
	// namesDead: the operator's name server does not answer, while an address that
	// needs no name does; what has a name cannot be judged by it.
	namesDead bool
}

func (k *Known) userPlane() userPlane {
	u := userPlane{ok: map[string]int{}, bad: map[string]int{}, last: map[string]ProbeResult{}, tested: map[string]bool{}}
	state := map[string]string{}
	changes := map[bool]int{} // by what it changed to
	white := protocol.Is(k.plan.value.Plan.WhitelistOnly)
	fresh := k.freshProbes()
	silent := ownSilentSince(fresh)
	for i, p := range fresh {
		if white && p.Target == "third_party" {
			continue // by design unreachable: says nothing
		}
		if p.Result == "ok" && p.Target != "own" && i < silent {
			continue // the path may have died with the own service
		}
		u.tested[p.Target] = true
		if roundCap(p.Detail) {
			u.capped = &p
		}
		u.last[p.Target] = p
		key := p.Probe + "/" + p.Target
		good := p.Result == "ok"
		switch p.Result {
		case "redirect":
			u.redirect = &p
		case "bad_cert":
			if p.Target == "third_party" {
				u.portal = &p
			} else {
				u.badCert = &p
			}
		case "cert_not_yet_valid":
			u.clock = &p
		case "unauthorized":
			u.loginRefused = u.loginRefused || p.Target == "own"
		}
		if good {
			u.ok[p.Target]++
			switch p.Probe {
			case "broker": // a session with the service is more than a handshake
				if p.Target == "own" {
					u.badCert, u.loginRefused = nil, false
				}
				if u.clock != nil && u.clock.Target == p.Target {
					u.clock = nil
				}
			case "http", "tls":
				if u.redirect != nil && u.redirect.Target == p.Target {
					u.redirect = nil
				}
				if u.badCert != nil && u.badCert.Target == p.Target {
					u.badCert = nil
				}
				if p.Target == "third_party" && p.Probe == "tls" {
					u.portal = nil
				}
				if u.clock != nil && u.clock.Target == p.Target {
					u.clock = nil
				}
			}
		} else {
			u.bad[p.Target]++
		}
		if p.Result == "timeout" {
			u.unanswered++
		}
		if s, seen := state[key]; seen && (s == "ok") != good {
			changes[good]++
		}
		state[key] = p.Result
	}
	if changes[true] > 0 && changes[false] > 0 {
		u.flips = changes[true] + changes[false]
	}
	u.slowConnects = state["tls/third_party"] != "ok" && state["http/third_party"] != "ok" && slow(u.last["third_party"]) &&
		u.last["own"].Result == "timeout" && state["tcp/own"] != "timeout"
	small := state["tcp/third_party"] == "ok" || state["http/third_party"] == "ok" || state["dns/third_party"] == "ok"
	u.largeStall = small && state["tls/third_party"] == "timeout" && state["tcp/own"] != "timeout" &&
		(state["tls/own"] == "timeout" || state["broker/own"] == "timeout" && state["tls/own"] == "")
	if r, asked := state["dns/carrier"]; asked && r != "ok" {
		u.namesDead = state["tcp/third_party"] == "ok" && state["tls/third_party"] != "ok" && state["http/third_party"] != "ok" && state["dns/own"] != "ok" &&
			state["dns/third_party"] != "ok"
	}
	for key, r := range state {
		if strings.HasSuffix(key, "/carrier") && r == "ok" {
			u.carrierOK = true
		}
	}
	return u
}

// ownSilentSince is the place of the own service's last answer, where it has
// fallen silent since: what others answered before then does not tell a dead
// service from a dead line. 0 where it answers, or never did. Places, not
// times: a round on a quick line takes less than a clock's step.
func ownSilentSince(fresh []ProbeResult) int {
	ok, last := 0, ProbeResult{}
	for i, p := range fresh {
		if p.Target != "own" {
			continue
		}
		if last = p; p.Result == "ok" {
			ok = i
		}
	}
	if last.Result == "timeout" {
		return ok
	}
	return 0
}

// slowConnect is a time for one TCP connect, in milliseconds, that a line in good
// order does not take.
const slowConnect = 2000

// slow reports whether p took that long, by its count or its words ("3100 ms").
func slow(p ProbeResult) bool {
	if before, _, ok := strings.Cut(p.Detail, " ms"); ok && p.Millis == 0 {
		n, err := strconv.Atoi(before)
		return err == nil && n >= slowConnect
	}
	return p.Millis >= slowConnect
}

// roundCap reports whether the words of a probe tell a rate ("127 kbit/s") that
// sits on one of the steps, in kbit/s, that operators slow a used-up plan down
// to (diagnosis.md §5.3 U).
func roundCap(detail string) bool {
	detail = strings.ToLower(detail)
	for _, unit := range [...]string{"kbit/s", "kbps", "kb/s"} {
		before, _, ok := strings.Cut(detail, unit)
		words := strings.Fields(before)
		if !ok || len(words) == 0 {
			continue
		}
		v, err := strconv.ParseFloat(words[len(words)-1], 64)
		for _, c := range [...]float64{16, 32, 64, 128, 256, 512} {
			if err == nil && math.Abs(v-c) <= 0.06*c {
				return true
			}
		}
	}
	return false
}

// refusedAsFalse reports whether the own service, or all that was asked while it
// did not answer, is still turned down for what its certificate says: that a
// port opens afterwards takes nothing back.
func (u userPlane) refusedAsFalse() bool {
	return u.badCert != nil || u.clock != nil && (u.clock.Target == "own" || u.ownOK() != yes)
}

// answered reports whether the target's newest result is an answer, although
// not the wanted one: packets went there and came back.
func (u userPlane) answered(target string) bool {
	switch u.last[target].Result {
	case "refused", "nxdomain", "unauthorized":
		return true
	}
	return false
}

// lastOK reports whether the newest result of target over all probes is ok, and
// whether there is one.
func (u userPlane) lastOK(target string) tri {
	p, ok := u.last[target]
	if !ok {
		return unknown
	}
	return triOf(p.Result == "ok")
}

// ownOK is lastOK of the own service; a port that opens is no service that lets
// us in.
func (u userPlane) ownOK() tri {
	if u.loginRefused {
		return no
	}
	return u.lastOK("own")
}
