package at

import (
	"strings"
	"time"
)

// line decides whose a line is. Caller holds mu.
func (d *Dialogue) line(line string, at time.Time) {
	x := d.now
	first := !d.begun
	d.begun = true
	d.marks = d.marks || isMarkerName(linePrefix(line))
	if d.tail != nil {
		u := *d.tail
		d.tail = nil
		_, final := d.final(line, x)
		second := !final && linePrefix(line) == ""
		if second {
			u.Text += "\n" + line
		}
		d.publish(u)
		if second {
			return
		}
	}
	switch {
	case line == ">" || d.isEcho(line):
		d.opt.Trace(Dropped, at, line)
		if x != nil && x.written && line == x.cmd {
			d.feed(line) // the engine passes over it
		}
		return
	case d.isBanner(line):
		d.count.Reboots++
		d.publish(Line{at, line})
		d.mistrust()
		d.inSMS = false // a modem that restarted waits for no text
		if x != nil {
			d.end(x, ErrRebooted)
		}
		return
	}
	if success, final := d.final(line, x); final {
		d.result(line, success, at)
		return
	}
	if isCallResult(line) {
		d.publish(Line{at, line})
		return
	}
	if x != nil && d.answers(line, x) {
		d.opt.Trace(Received, at, line)
		if x.size += len(line); x.size > replyMax {
			d.count.NoiseBytes += len(line)
			return
		}
		// What has no name may be noise: it is kept, but proves nothing.
		x.fed, x.kin = x.fed+1, x.kin || linePrefix(line) != ""
		d.feed(masked(line))
		return
	}
	if d.doubt && d.isLate(line) {
		d.opt.Trace(Dropped, at, line)
		d.count.Late++
		return
	}
	if first && d.knowsURCs && linePrefix(line) == "" && !d.opt.IsURC(line, "", 0) {
		// The rest of a line that began before the port was opened.
		d.opt.Trace(Dropped, at, line)
		d.count.NoiseBytes += len(line)
		return
	}
	u := Line{at, line}
	if hasTail(line) {
		d.tail = &u
		return
	}
	d.publish(u)
}

// answers reports whether line belongs to the reply of x. Caller holds mu.
func (d *Dialogue) answers(line string, x *exchange) bool {
	if len(x.names) == 0 {
		// A bare AT or a basic setting is answered by its result alone.
		b := strings.ToUpper(body(x.cmd))
		return strings.HasPrefix(b, "I") && !d.opt.IsURC(line, x.cmd, x.fed)
	}
	if p := linePrefix(line); p != "" {
		if !d.named(p, x) {
			return false
		}
		if d.opt.IsURC(line, x.cmd, x.fed) {
			x.kin = true
			return false
		}
		return true
	}
	return !d.opt.IsURC(line, x.cmd, x.fed)
}

// named reports whether the name p may lead an answer to x.
func (d *Dialogue) named(p string, x *exchange) bool {
	for _, name := range x.names {
		if related(name, p) {
			return true
		}
		for _, also := range d.opt.Answers[name] {
			if strings.EqualFold(also, p) {
				return true
			}
		}
	}
	return false
}

// isLate reports whether line is of an answer that came too late, rather than
// unsolicited. Caller holds mu.
func (d *Dialogue) isLate(line string) bool {
	x, p := d.late, linePrefix(line)
	if x == nil {
		// A new line may still carry answers to whoever spoke before us.
		return p != "" && d.knowsURCs && !d.opt.IsURC(line, "", 0)
	}
	if p != "" && !d.named(p, x) && !isMarkerName(p) {
		return false
	}
	return !d.opt.IsURC(line, x.cmd, x.fed)
}

// final reports whether line is a final result while x is in flight (nil: none
// is), and of success. Caller holds mu.
func (d *Dialogue) final(line string, x *exchange) (success, final bool) {
	if len(line) == 1 && line[0] >= '0' && line[0] <= '9' {
		if x != nil && body(x.cmd) == "" && line == "0" {
			d.digits = true
		}
		return line == "0", d.digits
	}
	success, final = d.opt.Final(line)
	if final && isCallResult(line) && (x == nil || !canCall(x.cmd)) {
		return false, false // the end of somebody's call, not of this command
	}
	return success, final
}

// result takes a final result. Caller holds mu.
func (d *Dialogue) result(line string, success bool, at time.Time) {
	x := d.now
	if x == nil {
		// A result that nobody waits for: late, or one more than was asked.
		// Either way the count is off until step is proved.
		d.opt.Trace(Dropped, at, line)
		d.count.Late++
		d.mistrust()
		return
	}
	d.opt.Trace(Received, at, line)
	if success && !x.kin && len(x.names) == 1 && oneLineReads[strings.ToUpper(body(x.cmd))] {
		d.count.OutOfStep++
		d.end(x, ErrOutOfStep)
		return
	}
	x.fed += d.feedResult(line, success)
	d.end(x, nil)
}

// publish queues an unsolicited line; the oldest gives way. Caller holds mu.
func (d *Dialogue) publish(l Line) {
	d.opt.Trace(Unasked, l.At, l.Text)
	d.count.URCs++
	select {
	case d.urcs <- l:
		return
	default:
	}
	select {
	case <-d.urcs:
		d.count.DroppedURC++
	default:
	}
	d.urcs <- l // only the reader sends, so there is room now
}

// isEcho reports whether line is a command coming back (ATE1). Caller holds mu.
func (d *Dialogue) isEcho(line string) bool {
	if x := d.now; x != nil && (strings.EqualFold(line, x.cmd) || x.prompt && line == strings.TrimSpace(x.sms)) {
		return true
	}
	if d.late != nil && strings.EqualFold(line, d.late.cmd) {
		return true
	}
	if d.now != nil && !d.doubt {
		return false // +CLAC lists commands
	}
	// No modem says "AT" of its own accord: it is an echo that came late.
	return len(line) >= 2 && strings.EqualFold(line[:2], "AT") && (len(line) == 2 || strings.IndexByte(signs, line[2]) >= 0)
}

func (d *Dialogue) isBanner(line string) bool {
	for _, b := range d.opt.Banners {
		if line == b {
			return true
		}
	}
	return false
}

// hasTail reports whether a URC has a second line (TS 27.005 §3.4.1: the PDU).
func hasTail(line string) bool {
	switch linePrefix(line) {
	case "+CMT", "+CDS", "+CBM":
		return true
	}
	return false
}

// DefaultFinal knows the final results of V.250 and 3GPP and the two that
// vendors add most often.
func DefaultFinal(line string) (success, final bool) {
	if line == "OK" {
		return true, true
	}
	for _, prefix := range []string{"+CME ERROR:", "+CMS ERROR:", "+CIS ERROR:"} {
		if strings.HasPrefix(line, prefix) {
			return false, true
		}
	}
	switch line {
	case "ERROR", "COMMAND NOT SUPPORT", "TOO MANY PARAMETERS":
		return false, true
	}
	return strings.HasPrefix(line, "CONNECT"), isCallResult(line)
}

// isCallResult reports whether line is a result that also comes unasked, when
// a call or a data session of the same port ends.
func isCallResult(line string) bool {
	switch line {
	case "NO CARRIER", "BUSY", "NO ANSWER", "NO DIALTONE", "NO DIAL TONE", "CONNECT":
		return true
	}
	return strings.HasPrefix(line, "CONNECT ")
}

// canCall reports whether a command may end with a call result.
func canCall(cmd string) bool {
	b := strings.ToUpper(body(cmd))
	return b != "" && strings.IndexByte("DAO", b[0]) >= 0 || strings.HasPrefix(b, "+CG") && strings.Contains(b, "=")
}
