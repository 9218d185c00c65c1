package meter

import "cellwarden/agent/instant"

// The modem counts too, and goes on where power was cut to the board alone or
// where it keeps its count. What it moved between two of its readings and the
// meter did not count is what the cut cost. Only a gap across a start of the
// board is closed so: within one boot the kernel's counters miss nothing.
//
// Every doubt is taken against the gap, so that nothing is counted twice: what
// was counted before the earlier reading may count as after it, what was counted
// after the later one counts as before, and modemSlack is allowed for framing.
// A count that fell was reset and says nothing.

// modemSlack: the modem may count a sixteenth more than the kernel, with a
// driver that leaves out what the modem frames each packet with, 14 bytes of
// Ethernet or 8 of PPP in packets of some 400 bytes, and twice that is safe.
const modemSlack = 16

// modemMark ties one reading of the modem to the meter's sum.
type modemMark struct {
	modem   uint64 // what the modem showed; the other fields are void when ord is 0
	tx      uint64 // that it sent of it
	counted uint64 // the meter's sum at the look before
	ord     uint32 // the boot
	unix    int64  // when, by the clock of then; 0 not known
}

// ModemBytes takes in the modem's own count. It takes effect with the next Look.
func (m *Meter) ModemBytes(rx, tx uint64, at instant.Instant) {
	m.see(at)
	unix, _ := m.now(at)
	m.heard = modemMark{modem: satAdd(rx, tx), tx: tx, counted: m.counted, ord: m.ord, unix: unix}
}

// settle closes the gap of a power cut after a look.
func (m *Meter) settle(at instant.Instant) {
	if m.heard.ord != m.ord {
		return // none, or heard in a boot that has ended
	}
	old := m.mark
	m.mark, m.heard = m.heard, modemMark{}
	m.urgent = m.urgent || old.ord == 0 // from here on a cut's gap can be closed
	if old.ord == 0 || old.ord == m.ord || m.mark.modem <= old.modem {
		return
	}
	moved := m.mark.modem - old.modem
	sent := float64(satSub(m.mark.tx, old.tx)) / float64(moved) // of the gap, as of all
	moved -= moved / (modemSlack + 1)
	gap := satSub(moved, m.counted-old.counted)
	if gap == 0 {
		return
	}
	m.mark.counted += gap // it moved before this reading
	m.counted += gap
	m.recovered = satAdd(m.recovered, gap)
	m.dirty = satAdd(m.dirty, gap)
	b := m.active()
	b.lifetime = satAdd(b.lifetime, gap)
	b.habitDay = 0
	unix := old.unix
	now, exact := m.now(at)
	if exact {
		unix = min(max(unix, notBefore), now)
	}
	b.add(old.ord, 0, unix, exact, load{total: gap, tx: min(gap, uint64(sent*float64(gap)))}, m)
}

// Recovered is how many bytes the modem's own count has added.
func (m *Meter) Recovered() uint64 { return m.recovered }
