package at

import (
	"errors"
	"strings"

	engine "github.com/warthog618/modem/at"
)

// What the engine must not read for something else goes to it behind one of these. No
// line of a modem begins with them: the assembler drops control bytes.
const (
	textMark  = "\x01" // a line without a name, which may look like a result or a prompt
	finalMark = "\x02" // a final result that the engine does not know, before one that it does
)

// masked is a line of an answer as the engine is given it: as it came where it has a
// name, "+CSQ: 20,99".
func masked(line string) string {
	if linePrefix(line) != "" {
		return line
	}
	return textMark + line
}

// feedResult hands the engine a final result and says how many lines of the answer
// that took. Caller holds mu.
func (d *Dialogue) feedResult(line string, success bool) (lines int) {
	known := "ERROR"
	switch {
	case success:
		known = "OK"
	case strings.HasPrefix(line, "+CME ERROR:"), strings.HasPrefix(line, "+CMS ERROR:"):
		known = line
	}
	if line != known {
		d.feed(finalMark + line)
		lines = 1
	}
	d.feed(known)
	return lines
}

// answer makes of the engine's answer the lines that the modem sent, the final result
// last; ok is false for an error that is no result.
func answer(info []string, err error) (lines []string, ok bool) {
	final := "OK"
	var cme engine.CMEError
	var cms engine.CMSError
	switch {
	case err == nil:
	case errors.As(err, &cme):
		final = "+CME ERROR: " + string(cme)
	case errors.As(err, &cms):
		final = "+CMS ERROR: " + string(cms)
	case errors.Is(err, engine.ErrError):
		final = "ERROR"
	default:
		return nil, false
	}
	lines = make([]string, 0, len(info)+1)
	for _, line := range info {
		if own, is := strings.CutPrefix(line, finalMark); is {
			final = own
			continue
		}
		lines = append(lines, strings.TrimPrefix(line, textMark))
	}
	return append(lines, final), true
}
