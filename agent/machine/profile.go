package machine

import (
	"math"
	"time"

	"cellwarden/agent/instant"
)

// Profile is the habit of one machine: how much it sells in each hour of the week.
// Old weeks fade, so that a new school year or another season takes over in a month.
type Profile struct {
	Vends [hoursOfWeek]float32 `json:"n"`    // faded sum of vends
	Value [hoursOfWeek]float32 `json:"v"`    // faded sum of their value, minor units
	Hours [hoursOfWeek]float32 `json:"h"`    // faded sum of the hours that were watched
	Hour  int64                `json:"hour"` // since 1970, the hour that is being watched, 0 none
	Part  float32              `json:"part"` // of that hour which was watched so far
}

const (
	hoursOfWeek = 7 * 24
	fade        = 0.8 // of a week's weight in the week after
	// priorHours is the weight of the mean of all hours in the rate of one: a rate
	// rests on some weeks, and one lucky hour makes no habit.
	priorHours = 1
	// enoughHours is how much must have been watched before anything is inferred:
	// two weeks.
	enoughHours = 2 * hoursOfWeek * fade
)

// slot is the hour of the week at a moment, in the machine's own time of day.
func slot(hour int64, offset time.Duration) int {
	h := hour + int64(offset/time.Hour) + 3*24 // 1970-01-01 was a Thursday; the week begins on Monday
	return int((h%hoursOfWeek + hoursOfWeek) % hoursOfWeek)
}

// hourOf is the hour since 1970 of a wall clock that is trusted.
func hourOf(at instant.Instant) (int64, bool) {
	if !at.Trusted || at.Wall.IsZero() {
		return 0, false
	}
	return at.Wall.Unix() / 3600, true
}

// watch says that the machine could sell, and would have been heard, for d until at.
func (p *Profile) watch(at instant.Instant, d time.Duration, offset time.Duration) {
	hour, ok := hourOf(at)
	if !ok || d <= 0 || d > time.Hour {
		return
	}
	s := slot(hour, offset)
	if hour != p.Hour {
		if p.Hour != 0 && hour-p.Hour < hoursOfWeek && hour > p.Hour {
			p.Hour = hour
		}
		p.Hour, p.Part = hour, 0
		p.Vends[s] *= fade
		p.Value[s] *= fade
		p.Hours[s] *= fade
	}
	p.Hours[s] += float32(d.Hours())
	p.Part += float32(d.Hours())
}

// sold notes vends.
func (p *Profile) sold(at instant.Instant, vends, value int64, offset time.Duration) {
	if hour, ok := hourOf(at); ok {
		s := slot(hour, offset)
		p.Vends[s] += float32(vends)
		p.Value[s] += float32(value)
	}
}

// spread notes vends of a window of which only the sum is known: evenly.
func (p *Profile) spread(from, to instant.Instant, vends, value int64, offset time.Duration) {
	a, ok1 := hourOf(from)
	z, ok2 := hourOf(to)
	if !ok1 || !ok2 || z < a || z-a > 4*hoursOfWeek {
		return
	}
	n := float32(z - a + 1)
	for h := a; h <= z; h++ {
		s := slot(h, offset)
		p.Vends[s] += float32(vends) / n
		p.Value[s] += float32(value) / n
	}
}

// watched is for how many hours anything is known.
func (p *Profile) watched() (hours float64) {
	for _, h := range p.Hours {
		hours += float64(h)
	}
	return hours
}

// Known reports whether enough was watched to speak of habit.
func (p *Profile) Known() bool { return p.watched() >= enoughHours }

// mean is what an hour sells, over all.
func (p *Profile) mean() (vends, value float64) {
	hours := p.watched()
	if hours == 0 {
		return 0, 0
	}
	for i := range p.Vends {
		vends += float64(p.Vends[i])
		value += float64(p.Value[i])
	}
	return vends / hours, value / hours
}

// Rate is what the hour of a moment usually sells: vends and minor units an hour.
func (p *Profile) Rate(at instant.Instant, offset time.Duration) (vends, value float64) {
	hour, ok := hourOf(at)
	if !ok {
		return p.mean()
	}
	n, v := p.mean()
	return p.rate(slot(hour, offset), n, v)
}

// rate is that of one hour of the week; n and v are the mean of all.
func (p *Profile) rate(s int, n, v float64) (vends, value float64) {
	h := float64(p.Hours[s])
	return (float64(p.Vends[s]) + priorHours*n) / (h + priorHours), (float64(p.Value[s]) + priorHours*v) / (h + priorHours)
}

// Expected is how many vends habit would have from one moment to another, and how
// much money that is.
func (p *Profile) Expected(from, to instant.Instant, offset time.Duration) (vends, value float64) {
	a, ok1 := hourOf(from)
	_, ok2 := hourOf(to)
	span := to.Wall.Sub(from.Wall)
	if !ok1 || !ok2 || span <= 0 || span > 14*24*time.Hour {
		return 0, 0
	}
	meanN, meanV := p.mean()
	for at := from.Wall; at.Before(to.Wall); {
		next := time.Unix((a+1)*3600, 0)
		if next.After(to.Wall) {
			next = to.Wall
		}
		n, v := p.rate(slot(a, offset), meanN, meanV)
		vends += n * next.Sub(at).Hours()
		value += v * next.Sub(at).Hours()
		at, a = next, a+1
	}
	return vends, value
}

// Quiet reports whether hardly anything is sold in the hour of a moment: the time for
// updates and for steps that take the machine away. Without habit none is.
func (p *Profile) Quiet(at instant.Instant, offset time.Duration) bool {
	if !p.Known() {
		return false
	}
	if _, ok := hourOf(at); !ok {
		return false
	}
	n, _ := p.Rate(at, offset)
	mean, _ := p.mean()
	return n <= mean*quietShare
}

// Busy reports whether the machine usually sells more in the hour of a moment than in
// its mean hour.
func (p *Profile) Busy(at instant.Instant, offset time.Duration) bool {
	if _, ok := hourOf(at); !ok || !p.Known() {
		return false
	}
	n, _ := p.Rate(at, offset)
	mean, _ := p.mean()
	return n > mean
}

// quietShare of the mean hour is quiet.
const quietShare = 0.25

// Unlikely is the chance that a machine which should have sold so many sold none.
func Unlikely(expected float64) float64 { return math.Exp(-expected) }
