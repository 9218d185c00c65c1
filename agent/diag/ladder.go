package diag

import (
	"fmt"
	"math"
)

// A sight is what one judgement looks at: what is known, and what is worked out
// of it once because several rules and gates ask for it.
type sight struct {
	*Known
	plane userPlane
	drop  float64 // a fall of the level that stays, in dB
}

func (k *Known) look() *sight { return &sight{k, k.userPlane(), k.stepDrop()} }

// gates walks the ladder from the port to the service. The lowest gate that
// failed names the layer that is judged; those above it are masked.
func (k *sight) gates() []Gate {
	state := map[Layer]GateState{
		LayerPort: k.portGate(), LayerModem: k.modemGate(), LayerSIM: k.simGate(), LayerRadio: k.radioGate(),
		LayerRegistration: k.registrationGate(), LayerSession: k.sessionGate(),
	}
	state[LayerPath], state[LayerService] = k.pathGates()
	if state[LayerService] == GatePassed && state[LayerSIM] != GateFailed {
		// The own service answers over the data interface: nothing below it can
		// be broken for data, whatever an older line says.
		for _, l := range []Layer{LayerRadio, LayerRegistration, LayerSession, LayerPath} {
			state[l] = GatePassed
		}
	}
	out := make([]Gate, 0, len(Layers))
	masked := false
	for _, l := range Layers {
		s := state[l]
		if masked {
			s = GateMasked
		}
		masked = masked || s == GateFailed
		out = append(out, Gate{Layer: l, State: s})
	}
	return out
}

// gateChannel is where a layer's own evidence comes from.
var gateChannel = map[Layer]string{LayerPort: "H", LayerModem: "H", LayerSIM: "S", LayerRadio: "R",
	LayerRegistration: "N", LayerSession: "E", LayerPath: "U", LayerService: "U"}

// sayGates puts beside each judged gate the fact of its channel that weighs most.
func sayGates(gs []Gate, ws []weighed) {
	for i, g := range gs {
		if g.State != GatePassed && g.State != GateFailed {
			continue
		}
		best, said := 0.0, -1
		for n, w := range ws {
			if w.rule.Channel != gateChannel[g.Layer] {
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

// applicable leaves out what a failed layer makes a consequence of itself: over
// a cell that is heard too badly, what passes of a session and of probes tells
// the radio's faults apart and says nothing of a subscription.
func applicable(layer Layer, ws []weighed) []weighed {
	if layer != LayerRadio {
		return ws
	}
	out := make([]weighed, 0, len(ws))
	for _, w := range ws {
		if w.rule.Channel == "U" {
			w.rule.Weights = only(w.rule.Weights, WeakSignal, AntennaFault, NoCoverage, Congestion, CarrierOutage)
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

// collect runs every rule over what is known. The order is that of the layers,
// so that a trace reads from the port upwards.
func (k *sight) collect() hits {
	var h hits
	k.hostRules(&h)
	k.simRules(&h)
	k.radioRules(&h)
	k.registrationRules(&h)
	k.sessionRules(&h)
	k.pathRules(&h)
	k.messageRules(&h)
	k.planRules(&h)
	k.platformRules(&h)
	k.neighbourRules(&h)
	k.changeRules(&h)
	return h
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
