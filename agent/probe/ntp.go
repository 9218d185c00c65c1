package probe

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// Facts of RFC 5905 and RFC 4330.
const (
	ntpPort   = 123
	ntpSize   = 48
	ntpClient = 4<<3 | 3 // version 4, mode 3
	ntpServer = 4        // mode
	// ntpUnix is the seconds from 1900 to 1970.
	ntpUnix = 2208988800
	// maxStratum: 16 and above is unsynchronised.
	maxStratum = 15
)

// ntpPivot settles the era of a 32-bit second count: none of our servers
// speaks of a time before it, so a smaller figure is after the wrap of 2036.
var ntpPivot = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC).Unix()

// errNTPRefused is an answer that says it is not to be used.
var errNTPRefused = errors.New("ntp server gives no time")

// Sample is one comparison of the wall clock with a server.
type Sample struct {
	Offset time.Duration // to be added to Env.Now
	RTT    time.Duration // the offset is right within half of it
}

// SNTP asks one server ("host" or "host:port") once, in 48 bytes each way,
// and once more when half of the context's time has passed unanswered.
func SNTP(ctx context.Context, e Env, server string) (Sample, error) {
	s, _, err := e.sntp(ctx, server)
	if err != nil {
		return Sample{}, fmt.Errorf("ntp %s: %w", server, err)
	}
	return s, nil
}

func (e Env) sntp(ctx context.Context, server string) (Sample, string, error) {
	host, port, err := splitHost(server, ntpPort)
	if err != nil {
		return Sample{}, "", err
	}
	conn, note, failed := e.connect(ctx, "udp", host, port)
	if failed != nil {
		return Sample{}, "", errCert{*failed}
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	waits := []time.Time{{}}
	if t, ok := ctx.Deadline(); ok {
		waits = []time.Time{time.Now().Add(time.Until(t) / 2), t}
	}
	buf := make([]byte, 128)
	lastErr := context.DeadlineExceeded
	for _, until := range waits {
		if err := conn.SetDeadline(until); err != nil {
			return Sample{}, note, err
		}
		if ctx.Err() != nil { // after SetDeadline, which may have undone what stop's function did
			break
		}
		// The transmit time of a request is only echoed, so it is a random cookie:
		// it proves the answer to be ours and does not tell the world our clock.
		cookie := rand.Uint64()
		req := make([]byte, ntpSize)
		req[0] = ntpClient
		binary.BigEndian.PutUint64(req[40:], cookie)
		sent, mono := e.now(), time.Now()
		if _, err := conn.Write(req); err != nil {
			return Sample{}, note, err
		}
		for range maxDatagrams {
			n, err := conn.Read(buf)
			if err != nil {
				lastErr = err
				break
			}
			rtt := time.Since(mono)
			recv, xmit, err := parseNTP(buf[:n], cookie)
			if errors.Is(err, errNotOurs) {
				lastErr = err
				continue
			}
			if err != nil {
				return Sample{}, note, err
			}
			// Offset by RFC 5905 §8; our receive time is taken from the monotonic
			// clock, so a step of the wall clock in between does no harm.
			back := sent.Add(rtt)
			offset := recv.Sub(sent)/2 + xmit.Sub(back)/2
			return Sample{Offset: offset, RTT: max(0, rtt-max(0, xmit.Sub(recv)))}, note, nil
		}
		if judge(lastErr).result == Refused {
			return Sample{}, note, lastErr
		}
	}
	if ctx.Err() != nil {
		return Sample{}, note, ctx.Err()
	}
	return Sample{}, note, lastErr
}

// parseNTP reads the server's receive and transmit times.
func parseNTP(b []byte, cookie uint64) (recv, xmit time.Time, err error) {
	if len(b) < ntpSize || b[0]&7 != ntpServer || binary.BigEndian.Uint64(b[24:]) != cookie {
		return recv, xmit, errNotOurs
	}
	if b[0]>>6 == 3 || b[1] == 0 || b[1] > maxStratum {
		// Leap 3: unsynchronised. Stratum 0: a kiss of death, its code is in the reference id.
		return recv, xmit, fmt.Errorf("%w: stratum %d, %q", errNTPRefused, b[1], printable(string(b[12:16])))
	}
	recv, xmit = ntpTime(b[32:]), ntpTime(b[40:])
	if binary.BigEndian.Uint64(b[40:]) == 0 {
		return recv, xmit, fmt.Errorf("%w: its transmit time is zero", errNTPRefused)
	}
	return recv, xmit, nil
}

func ntpTime(b []byte) time.Time {
	secs := int64(binary.BigEndian.Uint32(b)) - ntpUnix
	if secs < ntpPivot {
		secs += 1 << 32
	}
	nanos := int64(binary.BigEndian.Uint32(b[4:])) * 1e9 >> 32
	return time.Unix(secs, nanos)
}

// probeNTP tells whether a time server answers, and how far the clock is off.
func probeNTP(ctx context.Context, e Env, s Spec) outcome {
	got, note, err := e.sntp(ctx, s.Host)
	var failed errCert
	switch {
	case err == nil:
		return outcome{OK, join(note, fmt.Sprintf("offset %+.3fs", got.Offset.Seconds()))}
	case errors.As(err, &failed):
		return failed.outcome
	case errors.Is(err, errNTPRefused):
		return outcome{Refused, err.Error()}
	case errors.Is(err, errNotOurs):
		return outcome{Timeout, "only unusable answers came"}
	}
	return judge(err)
}
