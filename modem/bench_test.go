package modem

import (
	"context"
	"io"
	"testing"
	"time"

	"cellwarden/modem/at"
)

// memModem answers at once, as a healthy EC20 does, and counts.
type memModem struct {
	out         chan []byte
	done        chan struct{}
	rest        []byte
	sent, heard int
}

var healthyEC20 = map[string]string{
	"AT": "OK", "AT+CMEE?": "+CMEE: 1\r\n\r\nOK", "AT+CFUN?": "+CFUN: 1\r\n\r\nOK", "AT+CSCS?": "+CSCS: \"GSM\"\r\n\r\nOK", "AT+CMGF?": "+CMGF: 0\r\n\r\nOK",
	"AT+CGMI": "Quectel\r\n\r\nOK", "AT+CGMM": "EC20F\r\n\r\nOK", "AT+CGMR": "EC20CEFAGR06A05M4G\r\n\r\nOK",
	"AT+CPIN?": "+CPIN: READY\r\n\r\nOK", "AT+CEREG?": "+CEREG: 3,1,\"1A2B\",\"01C3D4E5\",7\r\n\r\nOK", "AT+CGREG?": "+CGREG: 2,1,\"1A2B\",\"01C3D4E5\",7\r\n\r\nOK",
	"AT+CREG?": "+CREG: 2,1,\"1A2B\",\"01C3D4E5\",7\r\n\r\nOK", "AT+COPS?": "+COPS: 0,2,\"46000\",7\r\n\r\nOK", "AT+CSQ": "+CSQ: 23,99\r\n\r\nOK",
	"AT+QCSQ": "+QCSQ: \"LTE\",56,-88,145,-9\r\n\r\nOK", "AT+CGATT?": "+CGATT: 1\r\n\r\nOK", "AT+CGACT?": "+CGACT: 1,1\r\n\r\nOK",
	"AT+QIACT?": "+QIACT: 1,1,1,\"10.63.118.204\"\r\n\r\nOK", "AT+CGPADDR": "+CGPADDR: 1,\"10.63.118.204\"\r\n\r\nOK", "AT+CEER": "+CEER: No report available\r\n\r\nOK",
	`AT+QENG="servingcell"`: "+QENG: \"servingcell\",\"NOCONN\",\"LTE\",\"FDD\",460,00,1C3D4E5,246,1300,3,5,5,1A2B,-88,-9,-60,14,30\r\n\r\nOK",
}

func newMemModem() *memModem {
	m := &memModem{out: make(chan []byte, 64), done: make(chan struct{})}
	return m
}

func (m *memModem) Read(p []byte) (int, error) {
	if len(m.rest) == 0 {
		select {
		case m.rest = <-m.out:
		case <-m.done:
			return 0, io.EOF
		}
	}
	n := copy(p, m.rest)
	m.rest = m.rest[n:]
	m.sent += n
	return n, nil
}

func (m *memModem) Write(p []byte) (int, error) {
	m.heard += len(p)
	reply, ok := healthyEC20[string(p[:len(p)-1])]
	if !ok {
		reply = "ERROR"
	}
	m.out <- []byte("\r\n" + reply + "\r\n")
	return len(p), nil
}

func (m *memModem) Close() error { close(m.done); return nil }

// BenchmarkPoll is one poll of a healthy modem over the whole stack: engine,
// discipline, parsers, recorder.
func BenchmarkPoll(b *testing.B) {
	port := newMemModem()
	m, err := Open(b.Context(), Spec{Opener: func(context.Context) (io.ReadWriteCloser, error) { return port, nil }, Recorder: NewRecorder()})
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close()
	commands, bytes := m.LineCounters().Commands, port.sent+port.heard
	b.ReportAllocs()
	for b.Loop() {
		for _, q := range DefaultPoll {
			for _, a := range m.Ask(b.Context(), q) {
				if a.Err != nil {
					b.Fatal(a.Err)
				}
			}
		}
	}
	b.ReportMetric(float64(m.LineCounters().Commands-commands)/float64(b.N), "commands/op")
	b.ReportMetric(float64(port.sent+port.heard-bytes)/float64(b.N), "wire-B/op")
}

// BenchmarkNoise is what a line full of garbage costs.
func BenchmarkNoise(b *testing.B) {
	port := newMemModem()
	d := at.New(port, at.Options{})
	defer d.Close()
	noise := make([]byte, 64<<10)
	for i := range noise {
		noise[i] = byte(0x80 | i)
	}
	b.SetBytes(int64(len(noise)))
	for b.Loop() {
		before := d.Counters().NoiseBytes
		port.out <- append(noise, '\r')
		for d.Counters().NoiseBytes == before {
			time.Sleep(10 * time.Microsecond)
		}
	}
}
