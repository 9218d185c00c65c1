package threegpp

import "strings"

// parseCBC reads +CBC: <charging>,<percent>,<mV>, and SIM7600's +CBC: 3.923V.
// Without a voltage the line says nothing for a machine on mains power.
func parseCBC(l line) []Fact {
	if volts, ok := strings.CutSuffix(l.body, "V"); ok {
		if f := within(number(volts), 1, 60); f != nil {
			return one(PowerState{SupplyMV: value(*f * 1000)})
		}
		return nil
	}
	if len(l.args) == 0 {
		return nil
	}
	if mv := within(l.real(2), 1000, 60000); mv != nil {
		return one(PowerState{SupplyMV: mv})
	}
	return quiet
}

func parseTemperature(l line) []Fact {
	t := within(l.real(0), -60, 150)
	if t == nil {
		return nil
	}
	return one(PowerState{TemperatureC: t})
}

// parseCMTE reads SIMCom's +CMTE: <mode>[,<temp>], or by itself a level of -2..2.
func parseCMTE(l line) []Fact {
	if t := within(l.real(1), -60, 150); t != nil {
		return one(PowerState{TemperatureC: t})
	}
	switch l.str(0) {
	case "2", "1":
		return one(PowerState{Alarm: "overheated"})
	case "-2", "-1":
		return one(PowerState{Alarm: "too cold"})
	}
	return quiet
}

func poweredOff(line) []Fact { return one(PoweredOff{}) }

// parseCPSMS reads +CPSMS: <mode>,...: 1 asks the network for power saving.
func parseCPSMS(l line) []Fact {
	n, ok := l.num(0)
	if !ok {
		return nil
	}
	return one(PowerSaving{Asked: n == 1})
}

func alarm(word string) parser {
	return func(line) []Fact { return one(PowerState{Alarm: word}) }
}
