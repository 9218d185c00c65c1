// Package amqp is the receiver's source on RabbitMQ: a quorum queue, bound to what the
// MQTT plugin publishes. RabbitMQ confirms a device's message when the queue has
// written it to disk, so a killed broker loses nothing.
package amqp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"cellwarden/protocol/backend/ingest"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

// Options say where the broker is and what to take from it.
type Options struct {
	URL    string // amqp://user:password@host:5672/vhost, amqps://...
	Queue  string // the same for all receivers: they share it
	Prefix string // of topics: cw
	Log    *slog.Logger
}

// exchange is where the MQTT plugin publishes; a topic's "/" is a "." there.
const exchange = "amq.topic"

// Source is a connection that makes itself anew.
type Source struct {
	opt  Options
	in   chan ingest.Publish
	mu   sync.Mutex
	ch   *amqp091.Channel
	up   bool
	err  error
	done chan struct{}
}

type handle struct {
	ch  *amqp091.Channel
	tag uint64
}

// Open connects in the background and returns at once. The queue is made when it is
// not there.
func Open(ctx context.Context, opt Options) (*Source, error) {
	if _, err := amqp091.ParseURI(opt.URL); err != nil {
		return nil, errors.New("broker: want amqp://user:password@host:5672/")
	}
	// Twice the window: what a new connection brings finds room beside what is left of
	// the one before.
	s := &Source{opt: opt, in: make(chan ingest.Publish, 2*ingest.MaxBatch), done: make(chan struct{})}
	go s.run(ctx)
	return s, nil
}

func (s *Source) run(ctx context.Context) {
	defer close(s.done)
	wait := 200 * time.Millisecond
	for ctx.Err() == nil {
		began := time.Now()
		err := s.serve(ctx)
		if ctx.Err() != nil {
			return
		}
		s.set(nil, false, err)
		s.opt.Log.Warn("no connection to the broker", "error", err.Error())
		if time.Since(began) > time.Minute {
			wait = 200 * time.Millisecond
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		wait = min(2*wait, 10*time.Second)
	}
}

func (s *Source) set(ch *amqp091.Channel, up bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ch, s.up, s.err = ch, up, err
}

func (s *Source) serve(ctx context.Context) error {
	conn, err := amqp091.DialConfig(s.opt.URL, amqp091.Config{Heartbeat: 20 * time.Second, Locale: "en_US", Dial: amqp091.DefaultDial(10 * time.Second)})
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // it may have ended
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	if _, err := ch.QueueDeclare(s.opt.Queue, true, false, false, false, amqp091.Table{"x-queue-type": "quorum"}); err != nil {
		return err
	}
	for _, leaf := range []string{"a", "e", "s", "m", "r", "w", "l"} {
		key := strings.ReplaceAll(s.opt.Prefix, "/", ".") + ".*." + leaf
		if err := ch.QueueBind(s.opt.Queue, key, exchange, false, nil); err != nil {
			return err
		}
	}
	if err := ch.Qos(ingest.MaxBatch, 0, false); err != nil {
		return err
	}
	list, err := ch.Consume(s.opt.Queue, "", false, false, false, false, nil)
	if err != nil {
		return err
	}
	s.set(ch, true, nil)
	closed := conn.NotifyClose(make(chan *amqp091.Error, 1))
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-closed:
			return fmt.Errorf("the connection ended: %w", err)
		case d, ok := <-list:
			if !ok {
				return errors.New("the broker ended the consumer")
			}
			select {
			case s.in <- ingest.Publish{Topic: strings.ReplaceAll(d.RoutingKey, ".", "/"), Payload: d.Body, Handle: handle{ch, d.DeliveryTag}}:
			case <-ctx.Done():
				return ctx.Err()
			case err := <-closed:
				return fmt.Errorf("the connection ended: %w", err)
			}
		}
	}
}

// Next gives what came, at most MaxBatch messages: when that many wait, or Linger
// after the first.
func (s *Source) Next(ctx context.Context) ([]ingest.Publish, error) {
	var list []ingest.Publish
	var due <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case p := <-s.in:
			if list = append(list, p); len(list) == ingest.MaxBatch {
				return list, nil
			}
			if due == nil {
				due = time.After(ingest.Linger)
			}
		case <-due:
			return list, nil
		}
	}
}

// Ack acknowledges. On a connection that has ended it is void, and the messages come
// again.
func (s *Source) Ack(list []ingest.Publish) {
	for i, p := range list {
		h := p.Handle.(handle)
		last := i+1 == len(list) || list[i+1].Handle.(handle).ch != h.ch
		if last { // with all before it: we take them in order
			_ = h.ch.Ack(h.tag, true)
		}
	}
}

// Up reports whether the connection stands, and if not, why.
func (s *Source) Up() (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.up, s.err
}

// Publish sends one message down. RabbitMQ keeps none for a device that sleeps, so
// retained is refused.
func (s *Source) Publish(ctx context.Context, topic string, retained bool, payload []byte) error {
	if retained {
		return errors.New("RabbitMQ keeps no retained message that comes over AMQP: send it by MQTT")
	}
	s.mu.Lock()
	ch := s.ch
	s.mu.Unlock()
	if ch == nil {
		return errors.New("no connection to the broker")
	}
	return ch.PublishWithContext(ctx, exchange, strings.ReplaceAll(topic, "/", "."), false, false, amqp091.Publishing{Body: payload, DeliveryMode: amqp091.Persistent})
}

// Close waits until the connection has ended, which it does with Open's context.
func (s *Source) Close() { <-s.done }
