package fleetbench

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"cellwarden/protocol"
	"cellwarden/protocol/backend/backendtest"
	"cellwarden/protocol/backend/store"
)

// wire is a device reduced to its bytes: ten thousand of them fit one process.
type wire struct {
	net.Conn
	id uint16
}

func text(b *bytes.Buffer, s string) {
	_ = binary.Write(b, binary.BigEndian, uint16(len(s))) // to memory
	b.WriteString(s)
}

func packet(first byte, body []byte) []byte {
	out := []byte{first}
	for n := len(body); ; {
		c := byte(n & 0x7f)
		if n >>= 7; n > 0 {
			out = append(out, c|0x80)
			continue
		}
		return append(append(out, c), body...)
	}
}

// dial connects as a device does: clean session, its last will on the status topic.
func dial(addr, name string, mono int64) (*wire, error) {
	c, err := net.DialTimeout("tcp", addr, 20*time.Second)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	text(&b, "MQTT")
	b.Write([]byte{4, 0x02 | 0x04 | 0x08 | 0x20, 0x04, 0xb0}) // 3.1.1; clean, will at QoS 1, retained; 1200 s
	text(&b, name)
	text(&b, "cw/"+name+"/w")
	text(&b, string(protocol.MarshalStatus(protocol.Status{Boot: "00000001", MonoMS: mono})))
	w := &wire{Conn: c}
	_ = c.SetDeadline(time.Now().Add(60 * time.Second))
	if _, err := c.Write(packet(0x10, b.Bytes())); err != nil {
		return nil, err
	}
	var ack [4]byte
	if _, err := io.ReadFull(c, ack[:]); err != nil || ack[3] != 0 {
		return nil, errors.Join(err, fmt.Errorf("CONNACK %x", ack))
	}
	return w, w.publish("cw/"+name+"/w", true, protocol.MarshalStatus(protocol.Status{Up: true, Boot: "00000001", MonoMS: mono}))
}

func (w *wire) publish(topic string, retained bool, payload []byte) error {
	w.id++
	var b bytes.Buffer
	text(&b, topic)
	_ = binary.Write(&b, binary.BigEndian, w.id)
	b.Write(payload)
	first := byte(0x32)
	if retained {
		first |= 1
	}
	if _, err := w.Write(packet(first, b.Bytes())); err != nil {
		return err
	}
	var ack [4]byte
	_, err := io.ReadFull(w, ack[:])
	return err
}

const fleetSize = 10_000

// Ten thousand devices are connected; the network drops them all at once, and all come
// back, each with ten messages: nobody is told anything, and the backlog is soon gone.
func TestTenThousandDevices(t *testing.T) {
	need(t)
	_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 65_536, Max: 65_536}) // else the connections say so
	db, _ := backendtest.Postgres(t, true)
	url, _ := backendtest.Mosquitto(t, mosquittoConf+"max_connections -1\n")
	addr := strings.TrimPrefix(url, "mqtt://")
	p := start(t, "-db", db, "-broker", url, "-listen", "")
	d := database(t, db)
	subscribed(t, url, d)
	if _, err := d.Exec("INSERT INTO endpoint (tenant, url) VALUES ('cw', 'https://example.org')"); err != nil {
		t.Fatal(err)
	}
	conns := make([]*wire, fleetSize)
	var failed atomic.Int64
	every := func(do func(i int) error) time.Duration {
		began := time.Now()
		work := make(chan int)
		var all sync.WaitGroup
		for range 200 {
			all.Go(func() {
				for i := range work {
					if err := do(i); err != nil && failed.Add(1) < 5 {
						t.Error(err)
					}
				}
			})
		}
		for i := range fleetSize {
			work <- i
		}
		close(work)
		all.Wait()
		return time.Since(began)
	}
	name := func(i int) string { return fmt.Sprintf("vm-%05d", i) }
	connecting := every(func(i int) (err error) { conns[i], err = dial(addr, name(i), 1); return err })
	up := "SELECT count(*) FROM device_now WHERE up"
	within(t, 2*time.Minute, "all up", func() bool { return number(d, up) == fleetSize })
	for _, c := range conns {
		if c == nil {
			t.Fatal("not all are connected")
		}
		_ = c.Conn.(*net.TCPConn).SetLinger(0)
		_ = c.Close()
	}
	within(t, 2*time.Minute, "all wills", func() bool { return number(d, "SELECT count(*) FROM device_now WHERE NOT up") == fleetSize })
	began := time.Now()
	storm := every(func(i int) (err error) {
		if conns[i], err = dial(addr, name(i), 2); err != nil {
			return err
		}
		var lines [][]byte
		for seq := range uint64(10) {
			lines = append(lines, envelope(name(i), seq+1, protocol.TypeEvent, sale()))
		}
		var b protocol.Batcher
		payload, err := b.Encode(lines)
		if err != nil {
			return err
		}
		return conns[i].publish("cw/"+name(i)+"/e", false, payload)
	})
	within(t, 2*time.Minute, "the backlog", func() bool {
		return number(d, "SELECT count(*) FROM event JOIN device ON id = device WHERE dev <> 'warm'") == 10*fleetSize && number(d, up) == fleetSize
	})
	told := number(d, "SELECT count(*) FROM outbox") + number(d, "SELECT count(*) FROM alert")
	t.Logf("FIGURE %d devices: connected in %s; all dropped and back in %s, %d messages in the database %s after the first came back; %d notifications; %d KB resident",
		fleetSize, connecting.Round(time.Millisecond), storm.Round(time.Millisecond), 10*fleetSize, time.Since(began).Round(time.Millisecond), told, p.memory())
	if told > 0 {
		t.Error("somebody was told")
	}
	for _, c := range conns {
		_ = c.Close()
	}
}

// What a device costs in the database: a month of the protocol's default day (24
// states, 30 sales, a few others), of a hundred devices.
func TestBytesPerDeviceAndMonth(t *testing.T) {
	need(t)
	db, _ := backendtest.Postgres(t, false)
	s, err := store.Open(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // a test's
	const devices, days = 100, 30
	rsrp, sinr := -97.0, 11.5
	for day := range days {
		var list []store.Message
		for i := range devices {
			add := func(n int, typ protocol.Type, body any) {
				raw := envelope(fmt.Sprintf("vm-%05d", i), uint64(day*60+n+1), typ, body)
				e, err := protocol.UnmarshalEnvelope(raw)
				if err != nil {
					t.Fatal(err)
				}
				decoded, err := e.DecodeBody()
				if err != nil {
					t.Fatal(err)
				}
				list = append(list, store.Message{Tenant: "cw", Device: e.Device, Arrived: time.Now().UnixMilli(), Envelope: &e, Body: decoded})
			}
			for n := range 60 {
				switch {
				case n < 24:
					add(n, protocol.TypeState, protocol.State{Class: "healthy", Verdict: "healthy", RSRP: &rsrp, SINR: &sinr, RAT: "lte", PLMN: "46000", UsedBytes: 25_165_824, OwnBytes: 912_384,
						QuotaBytes: 31_457_280, Waiting: 1, UptimeS: 86_400, AgentV: "1.0.0", Modem: "EC20F", Counts: map[string]int{"air": 11_240}})
				case n < 54:
					add(n, protocol.TypeEvent, sale())
				default:
					add(n, protocol.TypeWarning, protocol.Warning{Kind: "threshold", Percent: 80, UsedBytes: 25_165_824, QuotaBytes: 31_457_280})
				}
			}
		}
		for len(list) > 0 {
			n := min(1000, len(list))
			if _, err := s.Ingest(t.Context(), list[:n]); err != nil {
				t.Fatal(err)
			}
			list = list[n:]
		}
	}
	d := database(t, db)
	_, _ = d.Exec("VACUUM FULL") // as autovacuum would leave it, about
	size := 0
	if err := d.QueryRow(`SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = 'public' AND c.relkind = 'r' AND c.relname NOT LIKE 'goose%'`).Scan(&size); err != nil {
		t.Fatal(err)
	}
	rows, err := d.Query("SELECT relname, pg_relation_size(c.oid) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'public' AND pg_relation_size(c.oid) > 100000 ORDER BY 2 DESC LIMIT 8")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close() //nolint:errcheck // only read
	for rows.Next() {
		var name string
		var n int
		if err := rows.Scan(&name, &n); err != nil {
			t.Fatal(err)
		}
		t.Logf("  %-30s %7.3f MB per device and month", name, float64(n)/devices/1e6)
	}
	per := float64(size) / devices / 1e6
	t.Logf("FIGURE bytes: %.3f MB per device and month (%d devices, %d days, tables and indexes)", per, devices, days)
	if per > 0.3 {
		t.Error("above 0.3 MB")
	}
}
