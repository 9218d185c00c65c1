package diag

import (
	"math"
	"slices"
	"sort"
	"strings"
)

// Thresholds of a verdict (diagnosis.md §5.1 and §7). In decibans of margin to
// the next hypothesis and in posterior probability.
const (
	likelyP       = 0.60
	likelyMargin  = 6.0
	confirmedP    = 0.93
	confirmedGap  = 13.0
	groupP        = 0.70 // the subscription-stop group as a whole
	minForDB      = 6.0  // a class nobody spoke for is never a verdict
	groupForDB    = 9.0  // ... and four priors added up are not evidence either
	memberForDB   = 7.0  // ... and a member needs evidence of its own kind
	faintDB       = 1.0  // up to this it tells the reader something and decides nothing
	noEvidenceDB  = -6.0 // handicap of a class that nothing speaks for, so that priors alone never lead
	maxCandidates = 5
	maxEvidence   = 6
)

type weighed struct {
	hit
	rule Rule
}

// effect is the weight of a rule for a class; ok is false where it is silent.
func (w weighed) effect(c Code) (float64, bool) {
	if v, ok := w.rule.Weights[string(c)]; ok {
		return v, true
	}
	if slices.Contains(members, c) {
		v, ok := w.rule.Weights[suspendedGroup]
		return v, ok
	}
	return 0, false
}

// groupEffect is the weight of a rule for the four members as one: what it says
// of all, else the most it says for any of them.
func (w weighed) groupEffect() (float64, bool) {
	if v, ok := w.rule.Weights[suspendedGroup]; ok {
		return v, true
	}
	best, found := 0.0, false
	for _, m := range members {
		if v, ok := w.rule.Weights[string(m)]; ok && v > best {
			best, found = v, true
		}
	}
	return best, found
}

type score struct {
	class  Code
	db     float64 // prior and all channels
	forDB  float64 // what speaks for it
	member float64 // ... of the kind that tells members apart
	p      float64
}

// Diagnose judges what is known. It is a function of Known and the table alone.
func Diagnose(known *Known, table *Weights) Diagnosis {
	k := known.look()
	if table == nil {
		table = DefaultWeights
	}
	var ws []weighed
	gates, found := k.climb()
	for _, h := range found {
		if r, ok := table.Rule[h.rule]; ok {
			ws = append(ws, weighed{h, r})
		}
	}
	d := Diagnosis{Gates: gates}
	sayGates(d.Gates, ws)
	layer := lowestFailed(d.Gates)
	d.Layer = layer
	if layer == "" {
		k.unfailed(&d, ws, table)
	} else {
		scores := rank(possible[layer], applicable(layer, ws), table)
		k.decide(&d, scores, ws, layer)
	}
	k.explain(&d, ws)
	return d
}

// rank scores the classes: prior plus, per channel, the strongest entry.
func rank(classes []Code, ws []weighed, table *Weights) []score {
	var out []score
	for _, c := range classes {
		s := score{class: c, db: 10 * math.Log10(max(table.Priors[string(c)], 0.1)/100)}
		var byChannel [len(channels)]float64
		for _, w := range ws {
			v, ok := w.effect(c)
			if !ok {
				continue
			}
			if ch := strings.Index(channels, w.rule.Channel); math.Abs(v) > math.Abs(byChannel[ch]) {
				byChannel[ch] = v
			}
			if w.rule.Member && v > s.member {
				s.member = v
			}
		}
		for _, v := range byChannel {
			s.db += max(-maxWeightDB, min(maxWeightDB, v))
			if v > faintDB {
				s.forDB += v
			}
		}
		if s.forDB == 0 {
			s.db += noEvidenceDB
		}
		out = append(out, s)
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].db > out[j].db })
	total := 0.0
	for i := range out {
		out[i].p = math.Pow(10, (out[i].db-out[0].db)/10)
		total += out[i].p
	}
	for i := range out {
		out[i].p /= total
	}
	return out
}

// decide names a class, the group, or neither.
func (k *sight) decide(d *Diagnosis, ss []score, ws []weighed, layer Layer) {
	group := score{class: SuspendedUnspecified}
	var outside []score
	var inside []score
	for _, s := range ss {
		if slices.Contains(members, s.class) {
			group.p += s.p
			group.forDB = max(group.forDB, s.forDB)
			inside = append(inside, s)
		} else {
			outside = append(outside, s)
		}
	}
	groupWins := len(inside) > 0 && (len(outside) == 0 || group.p > outside[0].p)
	d.Candidates = candidates(ss, group, inside)
	d.Class, d.Verdict = Ambiguous, Undecided
	if groupWins {
		gap := marginDB(group.p, 1-group.p)
		d.MarginDB = gap
		best := inside[0]
		rest := group.p - best.p
		memberGap := marginDB(best.p, rest)
		switch {
		case group.p < groupP || group.forDB < groupForDB:
		case best.member >= memberForDB && memberGap >= likelyMargin && best.p >= likelyP:
			d.Class, d.Verdict = best.class, Likely
			d.MarginDB = marginDB(best.p, 1-best.p)
			if best.p >= confirmedP && d.MarginDB >= confirmedGap && k.independent(best.class, ws) {
				d.Verdict = Confirmed
			}
		default:
			d.Class, d.Verdict = SuspendedUnspecified, Likely
			if group.p >= confirmedP && gap >= confirmedGap && k.independent(SuspendedUnspecified, ws) {
				d.Verdict = Confirmed
			}
		}
	} else {
		best := outside[0]
		second := group.p
		if len(outside) > 1 {
			second = max(second, outside[1].p)
		}
		d.MarginDB = marginDB(best.p, second)
		if best.p >= likelyP && d.MarginDB >= likelyMargin && best.forDB >= minForDB {
			d.Class, d.Verdict = best.class, Likely
			if best.p >= confirmedP && d.MarginDB >= confirmedGap && k.independent(best.class, ws) {
				d.Verdict = Confirmed
			}
		}
	}
	if d.Class == SuspendedUnspecified {
		d.Detail = phrase("detail.group")
	}
	if d.Class == WeakSignal && k.interference() {
		d.Detail = phrase("detail.interference")
	}
	if d.Class == CloudUnreachable && k.plane.clock != nil {
		d.Detail = phrase("detail.clock")
	}
	if d.Class == CloudUnreachable && k.plane.loginRefused {
		d.Detail = phrase("detail.login_refused")
	}
}

// independent reports whether a verdict may be called confirmed: two channels
// speak for it, or one whose word is beyond doubt, and nothing strong against.
func (k *sight) independent(c Code, ws []weighed) bool {
	if (c == SuspendedUnspecified || slices.Contains(members, c)) && k.sim0 == GateUnknown && len(k.rejects) == 0 {
		return false // nobody read the card, and a locked one is denied too
	}
	if onlyToldByText(c, ws) {
		return false
	}
	chans, sources := map[string]float64{}, map[string]bool{}
	against := 0.0
	for _, w := range ws {
		v, ok := w.effect(c)
		if c == SuspendedUnspecified {
			v, ok = w.groupEffect()
		}
		if !ok {
			continue
		}
		if v >= 5 && !w.rule.Echo && !(strings.HasPrefix(w.hit.rule, "platform_") && k.platformAged()) {
			chans[w.rule.Channel] = max(chans[w.rule.Channel], v)
			sources[w.source] = true
		}
		against = min(against, v)
	}
	if against <= -8 {
		return false
	}
	if len(chans) >= 2 && len(sources) >= 2 { // one reply that says it twice is one witness
		return true
	}
	for _, v := range chans {
		if v >= maxWeightDB {
			return true
		}
	}
	return false
}

// onlyToldByText reports whether the reason of a stop is known from an operator's
// message alone. Free text is misread now and then, by people too: it makes a
// cause likely, and what confirms it is another word on the same cause, of the
// platform, the meter or the plan's term.
func onlyToldByText(c Code, ws []weighed) bool {
	told := false
	for _, w := range ws {
		v, ok := w.effect(c)
		if strings.HasPrefix(w.hit.rule, "sms_stop") {
			told = told || ok && v > 0 || c == SuspendedUnspecified
			continue
		}
		named := w.rule.Member || c == IMEILock && w.rule.Channel != "U" && w.rule.Channel != "N"
		if ok && v >= 5 && named && c != SuspendedUnspecified {
			return false
		}
	}
	return told
}

func marginDB(a, b float64) float64 {
	if b <= 1e-6 {
		return 60
	}
	return 10 * math.Log10(a/b)
}

// candidates lists what is left. Where only the group is proved, the group
// stands in the list with its own probability before its members.
func candidates(ss []score, group score, inside []score) []Candidate {
	var out []Candidate
	strongest := 0.0
	for _, s := range inside {
		strongest = max(strongest, s.member)
	}
	if group.p >= 0.01 && strongest < memberForDB {
		out = append(out, Candidate{SuspendedUnspecified, round2(group.p)})
	}
	for _, s := range ss {
		if s.p >= 0.01 {
			out = append(out, Candidate{s.class, round2(s.p)})
		}
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].P > out[j].P })
	if len(out) > maxCandidates {
		out = out[:maxCandidates]
	}
	return out
}

func round2(v float64) float64 { return math.Round(v*100) / 100 }

// unfailed judges when no gate failed: well, or not enough known.
func (k *sight) unfailed(d *Diagnosis, ws []weighed, table *Weights) {
	reg, path, service := stateOf(d.Gates, LayerRegistration), stateOf(d.Gates, LayerPath), stateOf(d.Gates, LayerService)
	port := stateOf(d.Gates, LayerPort)
	if path == GateUnknown && service == GateUnknown && reg == GatePassed && !k.restartedOnly() && !k.held() {
		if layer := k.suspect(ws); layer != "" {
			d.Layer = layer
			k.decide(d, rank(possible[layer], applicable(layer, ws), table), ws, layer)
			if d.Verdict == Confirmed {
				d.Verdict = Likely // nobody looked yet
			}
			return
		}
	}
	blind := k.held() || k.maybeAsleep() && k.silent() > 0
	well := 0.0
	switch {
	case service == GatePassed:
		well = 0.99
	case path == GatePassed:
		well = 0.95
	case reg == GatePassed && stateOf(d.Gates, LayerSession) == GatePassed:
		well = 0.9
	case reg == GatePassed && !k.restartedOnly():
		well = 0.8
	}
	if well > 0 && !blind && (port != GateUnknown || service == GatePassed || path == GatePassed) {
		d.Class, d.Verdict = Healthy, AllWell
		d.Candidates = []Candidate{{Healthy, well}}
		if path == GateUnknown && service == GateUnknown {
			d.Detail = phrase("detail.unproved")
		}
		d.MarginDB = marginDB(well, 1-well)
		return
	}
	switch {
	case k.held():
		d.Detail = Text{Key: "detail.blind", Args: []string{firstOf(k.port.value.Detail, "?")}}
	case blind:
		d.Detail = phrase("detail.asleep_or_hung")
	}
	if blind && well > 0 {
		// It may be all well; nobody can look.
		d.Class, d.Verdict = Ambiguous, Undecided
		d.Candidates = []Candidate{{Healthy, round2(well / 2)}, {ModemFault, round2((1 - well/2) / 2)}}
		return
	}
	// Nothing proved and nothing failed: say what it could be.
	scores := rank(Classes[:len(Classes)-2], ws, table)
	d.Class, d.Verdict = Ambiguous, Undecided
	for _, s := range scores {
		if s.forDB > 0 && s.p >= 0.01 && s.class != SuspendedUnspecified {
			d.Candidates = append(d.Candidates, Candidate{s.class, round2(s.p)})
		}
	}
	if len(d.Candidates) > maxCandidates {
		d.Candidates = d.Candidates[:maxCandidates]
	}
	if len(scores) > 1 {
		d.MarginDB = scores[0].db - scores[1].db
	}
}

// suspect is the layer that looks broken although none failed: the modem is
// registered, nobody tried whether packets pass, and somebody said that the line
// is stopped, or the level is one that carries nothing. "Registered" never proves
// "paid" (sim-lifecycle.md §5).
func (k *sight) suspect(ws []weighed) Layer {
	for _, w := range ws {
		told := strings.HasPrefix(w.hit.rule, "sms_stop") || strings.HasPrefix(w.hit.rule, "platform_")
		if told && accuses(w.rule) {
			return LayerPath
		}
	}
	// A line that is known to have worked at such a level stays well.
	if len(k.probes) == 0 && (!k.lastGood.ok || k.farBelow() > 0) {
		for _, w := range ws {
			if w.hit.rule == "signal_unusable" {
				return LayerRadio
			}
		}
	}
	return ""
}

// explain fills in the evidence, what is unknown, what would decide and who
// acts.
func (k *sight) explain(d *Diagnosis, ws []weighed) {
	of := d.Class
	if of == Ambiguous && len(d.Candidates) > 0 {
		of = d.Candidates[0].Class
	}
	for _, w := range ws {
		v, ok := w.effect(of)
		switch {
		case of == SuspendedUnspecified:
			v, ok = w.groupEffect()
		case of == Healthy:
			// What speaks against the faults and for none speaks for health.
			if accuses(w.rule) {
				continue
			}
			for _, x := range w.rule.Weights {
				if x <= -8 {
					v, ok = max(v, -x), true
				}
			}
		}
		if !ok || v == 0 || hasRule(d.Evidence, w.hit.rule) || hasRule(d.Against, w.hit.rule) {
			continue // the same said of another domain adds nothing
		}
		e := Evidence{For: of, Fact: w.text(), Source: w.source, Channel: w.rule.Channel, WeightDB: v, Rule: w.hit.rule}
		if v > 0 {
			d.Evidence = append(d.Evidence, e)
		} else {
			d.Against = append(d.Against, e)
		}
	}
	if d.Verdict == Undecided {
		// Show also what speaks for the runners-up: the reader has to choose.
		for _, c := range d.Candidates[min(1, len(d.Candidates)):] {
			for _, w := range ws {
				if v, ok := w.effect(c.Class); ok && v >= minForDB && !hasRule(d.Evidence, w.hit.rule) {
					d.Evidence = append(d.Evidence, Evidence{For: c.Class, Fact: w.text(), Source: w.source, Channel: w.rule.Channel, WeightDB: v, Rule: w.hit.rule})
				}
			}
		}
	}
	sort.SliceStable(d.Evidence, func(i, j int) bool { return d.Evidence[i].WeightDB > d.Evidence[j].WeightDB })
	sort.SliceStable(d.Against, func(i, j int) bool { return d.Against[i].WeightDB < d.Against[j].WeightDB })
	if len(d.Evidence) > maxEvidence {
		d.Evidence = d.Evidence[:maxEvidence]
	}
	if len(d.Against) > maxEvidence {
		d.Against = d.Against[:maxEvidence]
	}
	k.missing(d)
	k.act(d)
	if d.Class == Healthy && d.Verdict == AllWell {
		d.Layer = ""
	}
}

func hasRule(es []Evidence, rule string) bool {
	return slices.ContainsFunc(es, func(e Evidence) bool { return e.Rule == rule })
}

// Trace is one weighed rule, for explain --trace.
type Trace struct {
	Rule, Channel, Source string
	Fact                  Text
	Weights               map[string]float64
}

// TraceOf lists every rule that applies to what is known, in layer order.
func TraceOf(k *Known, table *Weights) []Trace {
	if table == nil {
		table = DefaultWeights
	}
	var out []Trace
	_, found := k.look().climb()
	for _, h := range found {
		r := table.Rule[h.rule]
		out = append(out, Trace{h.rule, r.Channel, h.source, h.text(), r.Weights})
	}
	return out
}
