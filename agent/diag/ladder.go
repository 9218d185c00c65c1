package diag

import (
	"fmt"
	"math"
	"strings"
)

// A sight is what one judgement looks at: what is known, and what is worked out
// of it once because several rules and gates ask for it.
type sight struct {
	*Known
	plane userPlane
	drop  float64 // a fall of the level that stays, in dB
	// how the port, the card and the service were found: layers above ask again
	port0, sim0, service0 GateState
	hostFails             bool // what fails is the host's end of the session: its interface, address or route
}

func (k *Known) look() *sight {
	return &sight{Known: k, plane: k.userPlane(), drop: k.stepDrop(), sim0: GateUnknown, service0: GateUnknown}
}

// A rung is one layer: how it is judged, which channel its own evidence comes
// from, and what would decide what is wrong with it. judge reads what is known of
// the layer once: it adds the rules that apply and says how the layer stands.
type rung struct {
	layer   Layer
	channel string
	judge   func(*sight, *hits) GateState
	ask     func(*sight, *question) string
}

// ladder has the layers in order, lowest first.
var ladder = []rung{
	{LayerPort, "H", (*sight).judgePort, (*sight).askPort},
	{LayerModem, "H", (*sight).judgeModem, (*sight).askModem},
	{LayerSIM, "S", (*sight).judgeSIM, (*sight).askSIM},
	{LayerRadio, "R", (*sight).judgeRadio, (*sight).askRadio},
	{LayerRegistration, "N", (*sight).judgeRegistration, (*sight).askRegistration},
	{LayerSession, "E", (*sight).judgeSession, (*sight).askSession},
	{LayerPath, "U", (*sight).judgePath, (*sight).askPath},
	{LayerService, "U", (*sight).judgeService, (*sight).askService},
}

// climb judges every layer once, then what does not belong to one: messages, the
// plan, the platform, neighbours and what was changed. The lowest gate that failed
// names the layer at fault; those above it are masked.
func (k *sight) climb() ([]Gate, hits) {
	var h hits
	gates := make([]Gate, 0, len(ladder))
	for _, r := range ladder {
		state := r.judge(k, &h)
		switch r.layer {
		case LayerPort:
			k.port0 = state
		case LayerSIM:
			k.sim0 = state
		}
		gates = append(gates, Gate{Layer: r.layer, State: state})
	}
	if k.service0 == GatePassed && k.sim0 != GateFailed {
		// The own service answers over the data interface: nothing below it can
		// be broken for data, whatever an older line says.
		for i := range gates {
			switch gates[i].Layer {
			case LayerRadio, LayerRegistration, LayerSession, LayerPath:
				gates[i].State = GatePassed
			}
		}
	}
	masked := false
	for i := range gates {
		if masked {
			gates[i].State = GateMasked
		}
		masked = masked || gates[i].State == GateFailed
	}
	k.accountRules(&h)
	return gates, h
}

// channelOf is where a layer's own evidence comes from.
func channelOf(l Layer) string {
	for _, r := range ladder {
		if r.layer == l {
			return r.channel
		}
	}
	return ""
}

// sayGates puts beside each judged gate the fact of its channel that weighs most.
func sayGates(gs []Gate, ws []weighed) {
	for i, g := range gs {
		if g.State != GatePassed && g.State != GateFailed {
			continue
		}
		best, said := 0.0, -1
		for n, w := range ws {
			if w.rule.Channel != channelOf(g.Layer) {
				continue
			}
			if g.State == GatePassed && accuses(w.rule) {
				continue
			}
			for _, v := range w.rule.Weights {
				if (g.State == GateFailed) == (v > 0) && math.Abs(v) > best {
					best, said = math.Abs(v), n
				}
			}
		}
		if said >= 0 {
			gs[i].Fact = ws[said].text()
		}
	}
}

func lowestFailed(gs []Gate) Layer {
	for _, g := range gs {
		if g.State == GateFailed {
			return g.Layer
		}
	}
	return ""
}

// applicable leaves out what a failed layer makes a consequence of itself. Below a
// module that does not run nothing of the network counts. Over a cell that is
// heard too badly, what passes of a session and of probes tells the radio's faults
// apart and says nothing of a subscription, and a meter near its quota is no
// reason for a cell that is not heard.
func applicable(layer Layer, ws []weighed) []weighed {
	out := make([]weighed, 0, len(ws))
	for _, w := range ws {
		switch layer {
		case LayerPort, LayerModem:
			if strings.Contains("RNEU", w.rule.Channel) {
				continue
			}
		case LayerRadio:
			if strings.HasPrefix(w.hit.rule, "used_up") {
				continue
			}
			if w.rule.Channel == "U" {
				w.rule.Weights = only(w.rule.Weights, WeakSignal, AntennaFault, NoCoverage, Congestion, CarrierOutage)
			}
		}
		out = append(out, w)
	}
	return out
}

func only(all map[string]float64, classes ...Code) map[string]float64 {
	out := make(map[string]float64, len(classes))
	for _, c := range classes {
		if v, ok := all[string(c)]; ok {
			out[string(c)] = v
		}
	}
	return out
}

func stateOf(gs []Gate, l Layer) GateState {
	for _, g := range gs {
		if g.Layer == l {
			return g.State
		}
	}
	return GateUnknown
}

// A hit is one rule that applies, with the words' arguments and where the fact
// came from.
type hit struct {
	rule, source string
	args         []string
}

type hits []hit

func (h *hits) add(rule, source string, args ...any) {
	s := make([]string, len(args))
	for i, a := range args {
		s[i] = fmt.Sprint(a)
	}
	*h = append(*h, hit{rule, source, s})
}

// accuses: the rule speaks for some fault, whatever it rules out beside it.
func accuses(r Rule) bool {
	for _, v := range r.Weights {
		if v >= 5 {
			return true
		}
	}
	return false
}
