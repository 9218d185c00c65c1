package modem

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"cellwarden/modem/threegpp"

	"github.com/warthog618/sms"
)

// encoding guards the tables of characters, which the library makes when a message
// first needs them: two modems may send at once.
var encoding sync.Mutex

// Limits of messages.
const (
	// smsTimeout: TS 27.005 leaves it to the network; operators answer within
	// half a minute or refuse.
	smsTimeout = 60 * time.Second
	// deleteTimeout: the SIM800 manual allows 5 s for one message; a card that
	// is written is slower than one that is read.
	deleteTimeout = 10 * time.Second
	// smsParts is the most parts that one text may take: a fault report has one.
	smsParts = 3
	// ussdTimeout is for the command; the network's own text comes unasked.
	ussdTimeout = 15 * time.Second
)

// SendSMS sends text to a telephone number, in UCS-2 where it needs that and in
// parts where it is long. It answers once for each part and ends at the first
// that is not accepted. Neither number nor text is in the answers.
func (m *Modem) SendSMS(ctx context.Context, to, text string) []Answer {
	fail := func(err error) []Answer {
		return []Answer{{Query: Direct, Command: "AT+CMGS", At: time.Now(), Err: fmt.Errorf("modem: send message: %w", err)}}
	}
	encoding.Lock()
	tpdus, err := sms.Encode([]byte(text), sms.To(to), sms.WithAllCharsets)
	encoding.Unlock()
	if err != nil {
		return fail(errors.New("it cannot be encoded"))
	}
	if len(tpdus) > smsParts {
		return fail(fmt.Errorf("it takes %d parts, at most %d are sent", len(tpdus), smsParts))
	}
	answers := m.again(ctx)
	for _, t := range tpdus {
		pdu, err := t.MarshalBinary()
		if err != nil {
			return append(answers, fail(errors.New("it cannot be encoded"))...)
		}
		// TS 27.005 §4.3: the length is without the service centre, and "00"
		// takes the centre that the card names.
		cmd := fmt.Sprintf("AT+CMGS=%d", len(pdu))
		start := time.Now()
		lines, err := m.line.SMSPrompt(ctx, cmd, "00"+strings.ToUpper(hex.EncodeToString(pdu)), smsTimeout)
		a := answer(Direct, cmd, lines, err, start)
		answers = append(answers, a)
		if !a.Accepted() {
			break
		}
	}
	return answers
}

// ReadSMS reads one stored message, as +CMTI announces it. It deletes nothing.
// What SendSMS sends is not stored either (+CMGS, never +CMGW), so that no message
// in a store was put there by this package.
func (m *Modem) ReadSMS(ctx context.Context, index int) []Answer {
	return append(m.again(ctx), m.ask(ctx, SMS, fmt.Sprintf("AT+CMGR=%d", index), setupTimeout))
}

// DeleteSMS deletes one stored message, given as it was read. It reads the place
// again first and deletes only what is still there: another program may have
// deleted it, the store or the card may be another one, and a newer message may
// stand there that nobody has read. +CMGD is sent for one index, never with the
// flag that empties a store. A message that is not there any more is no error:
// there is no answer of +CMGD then.
func (m *Modem) DeleteSMS(ctx context.Context, stored threegpp.SMS) []Answer {
	answers := m.ReadSMS(ctx, stored.Index)
	for _, f := range answers[len(answers)-1].Facts {
		if now, ok := f.(threegpp.SMS); ok && sameMessage(now, stored) {
			return append(answers, m.ask(ctx, SMS, fmt.Sprintf("AT+CMGD=%d", stored.Index), deleteTimeout))
		}
	}
	return answers
}

// sameMessage compares all but the index, which the answer to +CMGR lacks.
func sameMessage(a, b threegpp.SMS) bool {
	if !a.At.Equal(b.At) {
		return false
	}
	a.Index, a.At = b.Index, b.At
	return a == b
}

// USSD sends a code such as *100#. The network's text comes as an Event with a
// threegpp.USSD fact; many IoT subscriptions have no USSD.
func (m *Modem) USSD(ctx context.Context, code string) []Answer {
	if code == "" || strings.Trim(code, "0123456789*#") != "" {
		return []Answer{{Query: Direct, Command: "AT+CUSD", At: time.Now(), Err: errors.New("modem: a USSD code is made of digits, * and #")}}
	}
	// TS 27.007 §7.15: 15 is the default alphabet.
	return m.Do(ctx, fmt.Sprintf(`AT+CUSD=1,"%s",15`, code), ussdTimeout)
}
