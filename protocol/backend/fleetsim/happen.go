package fleetsim

import (
	"math"
	"time"
)

// What happens, times a machine or site and month (Rate 1), and for how long.
var rates = []struct {
	class    string
	a        float64
	from, to time.Duration
	site     bool
}{
	{"power", 0.8, 35 * time.Minute, 5 * time.Hour, true},
	{"weak_signal", 0.35, 40 * time.Minute, 8 * time.Hour, false},
	{"modem_fault", 0.15, time.Hour, 10 * time.Hour, false},
	{"sim_fault", 0.10, time.Hour, 12 * time.Hour, false},
	{"device_dead", 0.06, 10 * time.Hour, 48 * time.Hour, false},
	{"arrears", 0.12, 4 * time.Hour, 72 * time.Hour, false},
	{"admin_suspended", 0.05, 2 * time.Hour, 24 * time.Hour, false},
	{"expired_or_cancelled", 0.05, 8 * time.Hour, 72 * time.Hour, false},
	{"imei_lock", 0.03, 8 * time.Hour, 48 * time.Hour, false},
}

const month = 30 * 24 * time.Hour

func (s *Sim) some(from, to time.Duration) time.Duration {
	return from + time.Duration(s.rng.Int64N(int64(to-from)))
}

// moments draws when something happens that happens a times a month.
func (s *Sim) moments(a float64, f func(at time.Duration)) {
	if a <= 0 {
		return
	}
	for t := 0.0; ; {
		t += -math.Log(1-s.rng.Float64()) / (a * s.cfg.Rate)
		at := time.Duration(t * float64(month))
		if at >= s.cfg.For || t > 100 {
			return
		}
		f(at)
	}
}

// reasons are what the SIM platform calls a stop.
var reasons = map[string][2]string{"arrears": {"suspended", "arrears"}, "admin_suspended": {"suspended", "manual"},
	"expired_or_cancelled": {"suspended", "expiry"},
	"imei_lock":            {"suspended", "imei_lock"}, "over_quota": {"data_cut", "quota"}}

// fault lets a cause hold at a machine for a time. The platform knows of stops, and is a
// few minutes late with its word.
func (s *Sim) fault(m *machine, class string, at, lasts time.Duration) {
	s.at(at, func() {
		m.begin(class)
		if r, known := reasons[class]; known {
			reason := r[1]
			if s.rng.Float64() < 0.15 {
				reason = "unknown" // it is stopped, and the platform does not say why
			}
			s.at(s.now+s.some(time.Minute, 20*time.Minute), func() {
				if m.causes[class] > 0 {
					m.card = cardState{r[0], reason, s.now}
				}
			})
		}
	})
	s.at(at+lasts, func() {
		m.end(class)
		if _, known := reasons[class]; known {
			m.card = cardState{"active", "none", s.now}
		}
	})
}

// draw decides all that happens but for what the machines' own use brings.
func (s *Sim) draw() {
	for _, r := range rates {
		if r.site {
			for _, x := range s.sites {
				s.moments(r.a, func(at time.Duration) {
					lasts := s.some(r.from, r.to)
					for _, m := range x.machines {
						s.fault(m, r.class, at, lasts)
					}
				})
			}
			continue
		}
		for _, m := range s.machines {
			s.moments(r.a, func(at time.Duration) { s.fault(m, r.class, at, s.some(r.from, r.to)) })
		}
	}
	// Sites that are switched off at night.
	for _, x := range s.sites {
		for d := time.Duration(0); x.closes && d < s.cfg.For; d += 24 * time.Hour {
			at := d + 14*time.Hour + s.some(0, 20*time.Minute) // 22:00 in Beijing
			for _, m := range x.machines {
				s.fault(m, "power", at, 9*time.Hour)
			}
		}
	}
	// Outages: 60 % of a carrier's machines in a district.
	for d := range s.cfg.Districts {
		for _, c := range []string{"46000", "46001", "46011"} {
			s.moments(0.4, func(at time.Duration) {
				lasts := s.some(time.Hour, 4*time.Hour)
				s.at(at, func() { s.Result.OutagesPlayed++; s.tell("played: outage of %s in district %d", c, d) })
				for _, m := range s.machines {
					if m.carrier == c && m.site.district == s.sites[d].district && s.rng.Float64() < 0.6 {
						s.fault(m, "carrier_outage", at, lasts)
					}
				}
			})
		}
	}
	// Traffic, once an hour; at the end of the plan the carrier closes the data function,
	// and opens it with the next month.
	for _, m := range s.machines {
		m.cycleB = m.bytesDay * float64(s.cfg.From.In(beijing).Day()-1)
		s.at(0, func() { s.traffic(m) })
	}
}

var beijing = time.FixedZone("+08:00", 8*3600)

func (s *Sim) traffic(m *machine) {
	const every = time.Hour
	if m.service() {
		b := uint64(m.bytesDay / 24 * (0.5 + s.rng.Float64()))
		m.rx, m.tx, m.cycleB = m.rx+b*3/4, m.tx+b/4, m.cycleB+float64(b)
	}
	now := s.cfg.From.Add(s.now).In(beijing)
	if now.Day() == 1 && now.Hour() == 0 {
		m.cycleB = 0
	}
	if m.cycleB >= float64(m.quota) && m.causes["over_quota"] <= 0 {
		next := time.Date(now.Year(), now.Month()+1, 1, 0, int(s.rng.IntN(50)), 0, 0, beijing)
		if s.rng.Float64() < 0.5 { // somebody buys a pack
			next = now.Add(s.some(2*time.Hour, 30*time.Hour))
		}
		lasts := next.Sub(now)
		m.cycleB = 0
		s.fault(m, "over_quota", s.now, lasts)
	}
	s.at(s.now+every, func() { s.traffic(m) })
}
