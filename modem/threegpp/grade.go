package threegpp

// SignalGrade is a reading in words, from GradeExcellent down to GradeUnusable.
type SignalGrade string

// Grades, best first.
const (
	GradeExcellent SignalGrade = "excellent"
	GradeGood      SignalGrade = "good"
	GradeFair      SignalGrade = "fair"
	GradeWeak      SignalGrade = "weak"
	GradeVeryWeak  SignalGrade = "very_weak"
	GradeUnusable  SignalGrade = "unusable"
	GradeUnknown   SignalGrade = ""
)

// steps puts the grades in order; a quality may pull a level down by two.
var steps = [...]SignalGrade{GradeExcellent, GradeGood, GradeFair, GradeWeak, GradeVeryWeak, GradeUnusable}

const mostQualitySteps = 2

// A ladder holds the least value of each grade, best first, and the value under
// which a reading is unusable. Engineering thresholds for a stationary device,
// not 3GPP values (reference/causes.yaml of 2026-11-22, signal_maps.grades).
type ladder struct {
	least         [5]float64 // excellent, good, fair, weak, very weak
	unusableBelow float64
}

// never marks a grade that a ladder does not have.
const never = 1e9

var (
	gsmLevel   = ladder{[5]float64{-75, -85, -95, -105, never}, -108}
	csqLevel   = ladder{[5]float64{-113 + 2*22, -113 + 2*15, -113 + 2*10, -113 + 2*5, never}, -113 + 2*2}
	umtsLevel  = ladder{[5]float64{-75, -85, -95, -105, never}, -112}
	umtsEcNo   = ladder{[5]float64{never, -8, -12, -16, never}, -18}
	lteLevel   = ladder{[5]float64{-80, -90, -100, -110, -120}, -125}
	lteRSRQ    = ladder{[5]float64{never, -10, -13, -16, never}, -19}
	sinrLadder = ladder{[5]float64{20, 13, 5, 0, never}, -6}
	ltemLevel  = ladder{[5]float64{never, -100, -110, -120, -130}, -135}
	nbiotLevel = ladder{[5]float64{never, -100, -115, -125, -135}, -140}
	nrLevel    = ladder{[5]float64{-80, -90, -105, -115, never}, -120}
	nrRSRQ     = ladder{[5]float64{never, -10, -14, -17, never}, -20}
)

// step is the place of v on the ladder, -1 for no reading. Between the lowest
// grade and unusable it stays at the lowest that the ladder has.
func (l ladder) step(v *float64) int {
	if v == nil {
		return -1
	}
	if *v < l.unusableBelow {
		return len(steps) - 1
	}
	lowest := 0
	for i, least := range l.least {
		if least == never {
			continue
		}
		if *v >= least {
			return i
		}
		lowest = i
	}
	return lowest
}

// Grade puts a reading into words: the worse of level and quality, where the
// quality takes away two grades at most. A level alone never proves a fault of
// a modem that is registered and passes traffic.
func Grade(s Signal) SignalGrade {
	if s.NotKnown {
		return GradeUnknown
	}
	level, quality := levelStep(s), max(qualityStep(s), sinrLadder.step(s.SINR))
	switch {
	case level < 0 && quality < 0:
		return GradeUnknown
	case level < 0:
		return steps[quality]
	case quality > level:
		level = min(quality, level+mostQualitySteps)
	}
	return steps[level]
}

func levelStep(s Signal) int {
	by := lteLevel
	switch s.RAT {
	case "umts":
		by = umtsLevel
	case "ltem":
		by = ltemLevel
	case "nbiot":
		by = nbiotLevel
	case "nr":
		by = nrLevel
	}
	if s.RSRP != nil {
		return by.step(s.RSRP)
	}
	if s.RAT == "gsm" {
		return gsmLevel.step(s.RSSI)
	}
	return csqLevel.step(s.RSSI)
}

func qualityStep(s Signal) int {
	switch s.RAT {
	case "umts":
		return umtsEcNo.step(s.RSRQ)
	case "nr":
		return nrRSRQ.step(s.RSRQ)
	}
	return lteRSRQ.step(s.RSRQ)
}
