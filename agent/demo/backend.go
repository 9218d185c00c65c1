package demo

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"cellwarden/protocol"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"
)

// allow lets everybody in: the broker listens on the loopback alone.
type allow struct{ mochi.HookBase }

func (*allow) ID() string { return "allow" }
func (*allow) Provides(b byte) bool {
	return b == mochi.OnConnectAuthenticate || b == mochi.OnACLCheck
}
func (*allow) OnConnectAuthenticate(*mochi.Client, packets.Packet) bool { return true }
func (*allow) OnACLCheck(*mochi.Client, string, bool) bool              { return true }

// startBroker starts the embedded broker and gives its address.
func startBroker() (*mochi.Server, string, error) {
	s := mochi.New(&mochi.Options{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	l := listeners.NewTCP(listeners.Config{ID: "demo", Address: "127.0.0.1:0"})
	err := errors.Join(s.AddHook(new(allow), nil), s.AddListener(l))
	if err == nil {
		err = s.Serve()
	}
	if err != nil {
		return nil, "", fmt.Errorf("demo: broker: %w", err)
	}
	return s, l.Address(), nil
}

// backend is what a merchant's backend would be: an ordinary subscriber that
// knows no more than what arrives.
type backend struct {
	client mqtt.Client
	heard  func(protocol.Envelope) // of each new message, in the order of arrival
	lost   func(up bool)           // of the machine's status

	mu        sync.Mutex
	news      chan struct{} // closed and renewed whenever something came
	seen      map[key]bool
	list      []protocol.Envelope // each once, in the order of first arrival
	repeats   int
	malformed error
}

// key is what a backend dedupes by.
type key struct {
	device, epoch string
	seq           uint64
}

// brokerPatience is far above what a loopback needs.
const brokerPatience = 20 * time.Second

func newBackend(addr string, heard func(protocol.Envelope), lost func(bool)) (*backend, error) {
	b := &backend{heard: heard, lost: lost, seen: map[key]bool{}, news: make(chan struct{})}
	o := mqtt.NewClientOptions().AddBroker("tcp://" + addr).SetClientID("backend").SetAutoReconnect(false).SetConnectTimeout(brokerPatience)
	b.client = mqtt.NewClient(o)
	for _, step := range []func() mqtt.Token{
		b.client.Connect,
		func() mqtt.Token { return b.client.Subscribe(protocol.DefaultPrefix+"/#", 1, b.receive) },
	} {
		token := step()
		if !token.WaitTimeout(brokerPatience) {
			return nil, errors.New("demo: the backend: the embedded broker does not answer")
		}
		if err := token.Error(); err != nil {
			return nil, fmt.Errorf("demo: the backend: %w", err)
		}
	}
	return b, nil
}

func (b *backend) receive(_ mqtt.Client, m mqtt.Message) {
	list, err := protocol.DecodePublish(m.Topic(), m.Payload())
	if errors.Is(err, protocol.ErrNoEnvelope) {
		if s, err := protocol.DecodeStatus(m.Payload()); err == nil {
			b.lost(s.Up)
		}
		return
	}
	var fresh []protocol.Envelope
	b.mu.Lock()
	if err != nil && b.malformed == nil {
		b.malformed = err
	}
	for _, e := range list {
		k := key{e.Device, e.Epoch, e.Seq}
		if b.seen[k] {
			b.repeats++
			continue
		}
		b.seen[k] = true
		b.list = append(b.list, e)
		fresh = append(fresh, e)
	}
	close(b.news)
	b.news = make(chan struct{})
	b.mu.Unlock()
	for _, e := range fresh {
		b.heard(e)
	}
}

// has reports whether the message with this number arrived, and gives a channel
// that is closed at the next arrival.
func (b *backend) has(seq uint64) (bool, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for k := range b.seen {
		if k.seq == seq {
			return true, nil
		}
	}
	return false, b.news
}

// arrived is everything so far, each once, and how many repetitions came.
func (b *backend) arrived() ([]protocol.Envelope, int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]protocol.Envelope(nil), b.list...), b.repeats, b.malformed
}

func (b *backend) close() { b.client.Disconnect(250) }

// sale is what the machine's software sends with a sale; N is its own count.
type sale struct {
	N    int    `json:"n"`
	Slot string `json:"slot"`
	Fen  int    `json:"fen"`
	Paid string `json:"paid"`
}

func saleOf(e protocol.Envelope) (s sale, ok bool) {
	var m protocol.MachineEvent
	if e.Type != protocol.TypeEvent || json.Unmarshal(e.Body, &m) != nil || json.Unmarshal(m.Data, &s) != nil {
		return sale{}, false
	}
	return s, true
}
