// Package mqtt is the receiver's source on an MQTT 5 broker: shared subscriptions, so
// that several receivers share the work, with acknowledgements of our own.
package mqtt

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"cellwarden/protocol/backend/ingest"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/paho"
)

// Options say where the broker is and what to take from it.
type Options struct {
	URL      string // mqtt://user:password@host:1883, mqtts://...
	TLS      *tls.Config
	ClientID string // fixed: the broker keeps what is ours under it while we are away
	Prefix   string // of topics: cw
	// Share is the name of the group; "" subscribes plainly, for brokers without
	// shared subscriptions, and then only one receiver may run.
	Share string
	// Status takes the retained topics (online or not, last words) instead of the data.
	// They are not sent to shared subscriptions, so one receiver holds them plainly.
	Status bool
	drain  bool // subscribe to nothing
	Log    *slog.Logger
}

const (
	// sessionLife is how long the broker keeps what came while we were away.
	sessionLife = 24 * 3600
	keepAlive   = 30 // seconds
	// maxPacket refuses at the broker what no device sends (protocol.MaxPublish and its topic).
	maxPacket = 128 << 10
)

// Source is a connection that makes itself anew.
type Source struct {
	opt Options
	cm  *autopaho.ConnectionManager

	mu    sync.Mutex
	queue []ingest.Publish
	wake  chan struct{}
	up    bool
	fault error // of the last connection that failed

	expire atomic.Pointer[paho.DisconnectProperties] // set to end the session with the connection
	gone   atomic.Bool                               // no subscription is to be made any more
}

// handle is what acknowledges one message, on the connection that brought it.
type handle struct {
	client *paho.Client
	packet *paho.Publish
}

// Open connects in the background and returns at once.
func Open(ctx context.Context, opt Options) (*Source, error) {
	u, err := url.Parse(opt.URL)
	if err != nil || u.Host == "" {
		return nil, errors.New("broker: want mqtt://user:password@host:1883 or mqtts://...")
	}
	s := &Source{opt: opt, wake: make(chan struct{}, 1)}
	s.gone.Store(opt.drain)
	window, session, packet := uint16(ingest.MaxBatch), uint32(sessionLife), uint32(maxPacket)
	if opt.Status {
		session = 0 // what is retained comes anyway
	}
	cfg := autopaho.ClientConfig{
		ServerUrls:            []*url.URL{u},
		TlsCfg:                opt.TLS,
		KeepAlive:             keepAlive,
		SessionExpiryInterval: session,
		ReconnectBackoff:      autopaho.NewExponentialBackoff(50*time.Millisecond, 10*time.Second, 200*time.Millisecond, 2),
		ConnectPacketBuilder: func(c *paho.Connect, _ *url.URL) (*paho.Connect, error) {
			if c.Properties == nil {
				c.Properties = &paho.ConnectProperties{}
			}
			c.Properties.ReceiveMaximum, c.Properties.MaximumPacketSize = &window, &packet
			return c, nil
		},
		DisconnectPacketBuilder: func() *paho.Disconnect { return &paho.Disconnect{Properties: s.expire.Load()} },
		OnConnectionUp:          func(cm *autopaho.ConnectionManager, _ *paho.Connack) { s.connected(ctx, cm) },
		OnConnectError:          func(err error) { s.down(err) },
		ClientConfig: paho.ClientConfig{
			ClientID:                   opt.ClientID,
			EnableManualAcknowledgment: true,
			SendAcksInterval:           5 * time.Millisecond, // 50 ms by itself: with a window of 500 that would be 10,000 messages a second
			OnPublishReceived:          []func(paho.PublishReceived) (bool, error){s.receive},
			OnClientError:              func(err error) { s.down(err) },
			OnServerDisconnect: func(d *paho.Disconnect) {
				s.down(fmt.Errorf("the broker ended the connection: reason %d", d.ReasonCode))
			},
		},
	}
	if u.User != nil {
		cfg.ConnectUsername = u.User.Username()
		password, _ := u.User.Password()
		cfg.ConnectPassword = []byte(password)
	}
	if s.cm, err = autopaho.NewConnection(ctx, cfg); err != nil {
		return nil, fmt.Errorf("broker: %w", err)
	}
	return s, nil
}

// topics to subscribe to.
func (o Options) topics() []string {
	if o.Status {
		return []string{o.Prefix + "/+/w", o.Prefix + "/+/l"}
	}
	var out []string
	for _, leaf := range []string{"a", "e", "s", "m", "r"} {
		t := o.Prefix + "/+/" + leaf
		if o.Share != "" {
			t = "$share/" + o.Share + "/" + t
		}
		out = append(out, t)
	}
	return out
}

// connected runs when a connection stands. What was not acknowledged on the one
// before comes again on this one, so what still waits here is dropped.
func (s *Source) connected(ctx context.Context, cm *autopaho.ConnectionManager) {
	stands := func() {
		s.mu.Lock()
		s.up, s.fault = true, nil
		s.mu.Unlock()
	}
	if s.gone.Load() {
		stands()
		return
	}
	sub := &paho.Subscribe{}
	for _, t := range s.opt.topics() {
		sub.Subscriptions = append(sub.Subscriptions, paho.SubscribeOptions{Topic: t, QoS: 1})
	}
	go func() {
		if _, err := cm.Subscribe(ctx, sub); err != nil && ctx.Err() == nil {
			s.opt.Log.Error("the broker refuses the subscription", "topics", strings.Join(s.opt.topics(), " "), "error", err.Error())
			s.down(err)
		} else if err == nil {
			stands()
		}
	}()
}

func (s *Source) down(err error) {
	s.mu.Lock()
	s.up, s.fault = false, err
	s.mu.Unlock()
	s.opt.Log.Warn("no connection to the broker", "error", err.Error())
}

// receive runs on the client's goroutine, which also answers pings: it only queues.
// The broker sends no more than the window before we acknowledge.
func (s *Source) receive(p paho.PublishReceived) (bool, error) {
	s.mu.Lock()
	if n := len(s.queue); n > 0 && s.queue[n-1].Handle.(handle).client != p.Client {
		s.queue = nil // of the connection before: acknowledging it is void, and it comes again
	}
	s.queue = append(s.queue, ingest.Publish{Topic: p.Packet.Topic, Payload: p.Packet.Payload, Handle: handle{p.Client, p.Packet}})
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return true, nil
}

// half of the window is a batch: while one half is committed the other arrives.
const half = ingest.MaxBatch / 2

// Next gives what came, at most MaxBatch messages: when half of that many wait, or
// Linger after the first.
func (s *Source) Next(ctx context.Context) ([]ingest.Publish, error) {
	var first <-chan time.Time
	for {
		s.mu.Lock()
		n := len(s.queue)
		s.mu.Unlock()
		if n >= half {
			return s.takeAll(), nil
		}
		if n > 0 && first == nil {
			first = time.After(ingest.Linger)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-first:
			if got := s.takeAll(); len(got) > 0 {
				return got, nil
			}
			first = nil
		case <-s.wake:
		}
	}
}

func (s *Source) takeAll() []ingest.Publish {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := min(len(s.queue), ingest.MaxBatch)
	out := s.queue[:n:n]
	s.queue = s.queue[n:]
	return out
}

// Ack acknowledges. On a connection that has ended it is void, and the messages come
// again.
func (s *Source) Ack(list []ingest.Publish) {
	for _, p := range list {
		h := p.Handle.(handle)
		if h.packet.QoS == 0 {
			continue
		}
		if err := h.client.Ack(h.packet); err != nil {
			return
		}
	}
}

// Up reports whether the connection and its subscriptions stand, and if not, why.
func (s *Source) Up() (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.up, s.fault
}

// Publish sends one message down, at QoS 1.
func (s *Source) Publish(ctx context.Context, topic string, retained bool, payload []byte) error {
	_, err := s.cm.Publish(ctx, &paho.Publish{Topic: topic, QoS: 1, Retain: retained, Payload: payload})
	return err
}

// ackGrace is how long acknowledgements get to be written, which nothing tells.
const ackGrace = 200 * time.Millisecond

// Close ends the connection and keeps the session. It waits a moment first, since
// acknowledgements are written behind our back.
func (s *Source) Close() {
	time.Sleep(ackGrace)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_ = s.cm.Disconnect(ctx) // it may be gone already
}

// Drain removes this receiver for good: no further message comes to it, what came is
// still to be acknowledged, and the session ends with Close. Without it the broker
// would keep a share for a receiver that never comes back.
func (s *Source) Drain(ctx context.Context) error {
	s.gone.Store(true)
	_, err := s.cm.Unsubscribe(ctx, &paho.Unsubscribe{Topics: s.opt.topics()})
	return err
}
