// Package remedysim tries ladders of package remedy in a simulated world: causes that
// end, refusals that stick, an operator that counts attaches, a network that says to
// wait. It also plays the watchdog that the field uses, so that both are counted the
// same way. What the world holds is data: world.toml, engineering proposals.
package remedysim

import (
	_ "embed"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"cellwarden/agent/remedy"

	"github.com/BurntSushi/toml"
)

//go:embed world.toml
var worldTOML string

// Cause is one row of the world.
type Cause struct {
	Lasts    [2]duration             `toml:"lasts"`
	Alone    float64                 `toml:"alone"`
	AloneIn  [2]duration             `toml:"alone_in"`
	Needs    map[remedy.Step]float64 `toml:"needs"`
	News     float64                 `toml:"news"`
	NewsIn   [2]duration             `toml:"news_in"`
	Seen     duration                `toml:"seen"`
	Traffic  bool                    `toml:"traffic"`
	BackOff  bool                    `toml:"backoff"`
	Refused  bool                    `toml:"refused"`
	Hopeless float64                 `toml:"hopeless"`
}

// World is every cause that can be played.
type World struct {
	Class map[string]Cause `toml:"class"`
}

// Builtin is the world that is compiled in.
func Builtin() (World, error) {
	var w World
	md, err := toml.Decode(worldTOML, &w)
	if err != nil {
		return w, fmt.Errorf("world.toml: %w", err)
	}
	if un := md.Undecoded(); len(un) > 0 {
		return w, fmt.Errorf("world.toml: unknown key %q", un[0].String())
	}
	for _, class := range slices.Sorted(maps.Keys(w.Class)) {
		sum := 0.0
		for step, share := range w.Class[class].Needs {
			if !slices.Contains(strength, step) {
				return w, fmt.Errorf("world.toml: [class.%s] needs %q, which has no place in the order of steps", class, step)
			}
			sum += share
		}
		if math.Abs(sum-1) > 1e-9 {
			return w, fmt.Errorf("world.toml: [class.%s] the shares of needs add up to %g, not 1", class, sum)
		}
	}
	return w, nil
}

type duration time.Duration

func (d *duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	*d = duration(v)
	return err
}

// strength orders the steps: each also does what those before it do. A wrong APN is
// cured by no reset, and a card or radio by none of the lesser steps.
var strength = []remedy.Step{"reopen", "reread", "reset_network", "interface_restart", "redial", "session_cycle", "reattach", "reregister", "radio_on",
	"card_power", "radio_cycle", "soft_reset", "reset_line", "usb_power", "power_cut"}

func init() { strength = append(strength, "last_good_apn") } // beyond all: only itself

// helps reports whether step brings back what needs need.
func helps(step, need remedy.Step) bool {
	if need == "last_good_apn" || step == "last_good_apn" {
		return step == need
	}
	return slices.Index(strength, step) >= slices.Index(strength, need)
}

// Incident is one drawn course of things. Times are from the onset.
type Incident struct {
	Class    string
	Over     time.Duration // when the cause itself ends
	Alone    time.Duration // when service is back without any step; 0 never
	Need     remedy.Step
	News     time.Duration // when good news comes; 0 none
	Hopeless bool
	cause    Cause
}

// Draw makes an incident of a class from a seed.
func (w World) Draw(class string, seed uint64) Incident {
	c := w.Class[class]
	r := rand.New(rand.NewPCG(seed, 0x7e3))
	in := Incident{Class: class, cause: c, Over: between(r, c.Lasts)}
	if r.Float64() < c.Alone {
		in.Alone = in.Over + between(r, c.AloneIn)
	}
	x := r.Float64()
	for _, step := range slices.Sorted(maps.Keys(c.Needs)) {
		in.Need = step
		if x -= c.Needs[step]; x < 0 {
			break
		}
	}
	if r.Float64() < c.News {
		in.News = in.Over + between(r, c.NewsIn)
	}
	in.Hopeless = r.Float64() < c.Hopeless
	if in.Hopeless {
		in.Alone = 0
	}
	return in
}

// between draws log-uniform from a range.
func between(r *rand.Rand, d [2]duration) time.Duration {
	lo, hi := float64(d[0]), float64(d[1])
	if lo <= 0 || hi <= lo {
		return time.Duration(lo)
	}
	return time.Duration(math.Exp(math.Log(lo) + r.Float64()*(math.Log(hi)-math.Log(lo))))
}

// Outcome is what one incident came to.
type Outcome struct {
	Back         time.Duration // from the end of the cause to service; Horizon where it never came
	Came         bool
	Disturbances int // steps that cut the session, the radio or the module
	Resets       int // steps that restart the module
	MostAnHour   int // the most attaches in any hour
	RateLimited  bool
	Bytes        int // spent on the air
}

// Horizon ends an incident: what is not back a day and a half after its cause ended
// is counted as not back.
const Horizon = 36 * time.Hour

// The operator refuses a SIM that attached more often than this within an hour, for
// as long as it goes on.
const attachesAllowed = 10

// world is one incident under way.
type world struct {
	in       Incident
	out      Outcome
	attaches []time.Duration
	back     time.Duration // service is back at; -1 not yet
}

// act carries a step out that ends at now.
func (w *world) act(step remedy.Step, now time.Duration) {
	d := remedy.Builtin.Disturbs(step)
	if d >= remedy.DisturbsSession {
		w.out.Disturbances++
		w.out.Bytes += 600 // a reconnect with its handshake
	}
	if d >= remedy.DisturbsModule {
		w.out.Resets++
	}
	limited := false
	if d >= remedy.DisturbsRadio && w.in.cause.Refused && now < w.in.Over+Horizon {
		w.attaches = append(w.attaches, now)
		for len(w.attaches) > 0 && now-w.attaches[0] > time.Hour {
			w.attaches = w.attaches[1:]
		}
		w.out.MostAnHour = max(w.out.MostAnHour, len(w.attaches))
		limited = len(w.attaches) > attachesAllowed
		w.out.RateLimited = w.out.RateLimited || limited
	}
	if w.back < 0 && now >= w.in.Over && !w.in.Hopeless && !limited && helps(step, w.in.Need) {
		w.back = now
	}
}

func (w *world) limitedAt(now time.Duration) bool {
	n := 0
	for _, t := range w.attaches {
		if now-t <= time.Hour {
			n++
		}
	}
	return n > attachesAllowed
}

// alone lets service come back by itself. A SIM that is rate-limited waits.
func (w *world) alone(now time.Duration) {
	if w.back < 0 && w.in.Alone > 0 && now >= w.in.Alone && !w.limitedAt(now) {
		w.back = now
	}
}

func (w *world) end() Outcome {
	w.out.Came = w.back >= 0
	w.out.Back = Horizon
	if w.out.Came {
		w.out.Back = max(0, w.back-w.in.Over)
	}
	return w.out
}

// takes is how long a step takes until service can show: a module boots and attaches
// in half a minute, a radio cycle attaches in twelve seconds.
func takes(step remedy.Step) time.Duration {
	switch d := remedy.Builtin.Disturbs(step); {
	case d >= remedy.DisturbsModule:
		return 30 * time.Second
	case d >= remedy.DisturbsRadio:
		return 12 * time.Second
	case d >= remedy.DisturbsSession:
		return 5 * time.Second
	}
	return 2 * time.Second
}

// Climb plays an incident with the engine. able: what the board can do; nil all.
func Climb(t *remedy.Table, in Incident, seed uint64, able func(remedy.Step) bool) Outcome {
	w := &world{in: in, back: -1}
	e := remedy.New(t, fmt.Sprint("vm-", seed), remedy.State{}, 0)
	input := remedy.Input{Class: in.Class, Sure: true, Card: "card", Passing: in.cause.Traffic, Since: time.Duration(in.cause.Seen)}
	input.Able = func(s remedy.Step) bool {
		mute := in.Class == "modem_fault" && in.Need != "soft_reset" // a mute port takes no command
		return (able == nil || able(s)) && !(mute && s == "soft_reset")
	}
	told := false
	for now := input.Since; now < in.Over+Horizon; {
		if w.alone(now); w.back >= 0 {
			break
		}
		if !told && in.News > 0 && now >= in.News {
			e.Tell(now, remedy.NewsTechnician, 0)
			told = true
		}
		input.Now = now
		if in.cause.BackOff && now < in.Over {
			input.BackOff = in.Over
		}
		d := e.Look(input)
		if d.Step != "" {
			now += takes(d.Step)
			w.act(d.Step, now)
			e.Ended(now, remedy.Done)
			continue
		}
		next := in.Over + Horizon
		if d.At > now {
			next = d.At
		}
		for _, t := range []time.Duration{in.News, in.Alone} {
			if t > now {
				next = min(next, t)
			}
		}
		now = max(next, now+time.Second)
	}
	return w.end()
}

// Watchdog plays what the field uses: a ping of the owner's server each 12 s, five that
// fail, a reset of the module, for ever.
func Watchdog(in Incident, _ uint64) Outcome {
	w := &world{in: in, back: -1}
	const ping, fails = 12 * time.Second, 5
	boots := takes("reset_line")
	if in.cause.Traffic && in.Class != "cloud_unreachable" {
		// every third run of five pings fails on a weak line
		for now := 3 * fails * ping; now < in.Over; now += 3*fails*ping + boots {
			w.act("reset_line", now)
		}
	}
	for now := fails * ping; now < in.Over+Horizon; now += fails*ping + boots {
		if w.alone(now); w.back >= 0 {
			break
		}
		if in.cause.Traffic && in.Class != "cloud_unreachable" {
			continue
		}
		w.out.Bytes += fails * 84
		w.act("reset_line", now+boots)
	}
	return w.end()
}
