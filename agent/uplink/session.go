package uplink

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"sync/atomic"
	"time"

	"cellwarden/agent/instant"
	"cellwarden/protocol"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"
)

const (
	// defaultWindow is how many PUBLISHes of the backlog may await their PUBACK:
	// enough to fill a path of 1 s round trip at the drain rate.
	defaultWindow = 8
	// windowBytes bounds what an alert has to wait behind: 2 s at 32 kbit/s.
	windowBytes = 8 << 10
	// urgentRoom is how many more may be under way when urgent ones pass the window.
	urgentRoom = 8
	// urgentMax is how many urgent messages are taken when only those may go.
	urgentMax = 8
	// pingGrace is how long an answer to a ping may take. pingLead is how much
	// earlier than the keepalive a ping is sent: paho looks only every 5 s, so a
	// silent link is found within one keepalive and 8 s.
	pingGrace = 10 * time.Second
	pingLead  = 12 * time.Second
	// stopGrace is what a good-bye may take: the message, its PUBACK and what is
	// under way.
	stopGrace = 2 * time.Second
	// joinGrace is how long paho's goroutines may take to end after the
	// connection was closed under them.
	joinGrace = 5 * time.Second
	// drainBurst is what may go above the drain rate at once.
	drainBurst = time.Second
	// admitRecheck is how often the byte budget is asked again after a no.
	admitRecheck = time.Minute
	// movedLooks is how often in a row the kernel must prefer another way to the
	// broker: a reconnect costs 2 KB, and a bad plug chatters.
	movedLooks = 2
	// expiryEvery is how often our own certificate is looked at while connected.
	expiryEvery = 24 * time.Hour
	// publishOverhead is what a PUBLISH and its PUBACK cost beside the payload:
	// MQTT, TLS, IP and TCP headers. It counts against the drain rate.
	publishOverhead = 220
)

// Limits of what comes down.
const (
	commandQueue = 8               // commands that wait for the goroutine of Run
	commandBurst = 10              // at once
	commandEvery = 6 * time.Second // one more; a person with a console needs no more
)

// link is one live connection.
type link struct {
	broker    broker
	client    mqtt.Client
	guard     *guard
	tcp       *counted
	tls       *tls.ConnectionState
	keepAlive time.Duration
	lost      chan error
	commands  chan inbound
	dropped   atomic.Int64 // commands thrown away, not reported yet
	suback    mqtt.Token
	born      instant.Instant // when it was begun: orders its status and its will among others
}

// status is what stands on the status topic of this connection. The will is fixed when
// it begins, so all of it carry that moment.
func (l *link) status(up bool, why string) []byte {
	boot := l.born.Boot
	return protocol.MarshalStatus(protocol.Status{Up: up, Why: why, Boot: boot[:min(len(boot), 8)], MonoMS: l.born.Mono.Milliseconds()})
}

type inbound struct {
	raw      []byte
	retained bool
}

// ending is how a connection ended.
type ending struct {
	why    Why
	lasted time.Duration
}

// topic names one of this device's topics.
func (u *Uplink) topic(l protocol.Leaf) string {
	return protocol.Topic{Prefix: u.opt.Prefix, Device: u.opt.Device, Leaf: l}.String()
}

// connect opens a connection to b up to its CONNACK.
func (u *Uplink) connect(ctx context.Context, b broker) (*link, error) {
	ctx, cancel := context.WithTimeout(ctx, u.t.Connect)
	defer cancel()
	password := u.opt.Password
	if u.opt.Secret != nil {
		var err error
		if password, err = u.opt.Secret(); err != nil {
			return nil, &stageError{WhyOwnSecret, err}
		}
	}
	conn, tcp, agreed, err := u.open(ctx, b)
	if err != nil {
		return nil, err
	}
	l := &link{
		broker: b, tcp: tcp, tls: agreed, guard: newGuard(conn, u.t.Write),
		keepAlive: u.state.keepAlive(u.t.KeepAlive),
		lost:      make(chan error, 1),
		commands:  make(chan inbound, commandQueue),
		born:      u.opt.Now(),
	}
	u.day.over(time.Now()) // a new day may have begun
	l.guard.day = &u.day
	stop := context.AfterFunc(ctx, tcp.abort) // also ends the wait for the CONNACK
	defer stop()
	l.client = mqtt.NewClient(u.clientOptions(l, password))
	token := l.client.Connect()
	done := token.WaitTimeout(u.t.Connect + joinGrace)
	if done && token.Error() == nil && l.guard.connack.Load() == packets.Accepted {
		if t, ok := conn.(*tls.Conn); ok {
			t.NetConn().(*cork).pull()
		}
		return l, nil
	}
	err = token.Error()
	lie := l.guard.fault.Load()
	switch code := l.guard.connack.Load(); {
	case code > packets.Accepted:
		err = &refusedError{byte(code)}
	case lie != nil:
		err = lie
	case ctx.Err() != nil:
		err = &stageError{WhyTimeout, ctx.Err()}
	case err == nil:
		err = errors.New("the client library gave no answer")
	}
	l.close()
	u.report(l)
	return nil, err
}

// clientOptions sets paho up as a mere transport.
func (u *Uplink) clientOptions(l *link, password string) *mqtt.ClientOptions {
	o := mqtt.NewClientOptions()
	o.Servers = []*url.URL{{Scheme: "tcp", Host: net.JoinHostPort(l.broker.host, fmt.Sprint(l.broker.port))}} // a name; the connection is below
	o.CustomOpenConnectionFn = func(*url.URL, mqtt.ClientOptions) (net.Conn, error) { return l.guard, nil }
	o.SetProtocolVersion(4) // else a refusal makes paho connect again, by MQTT 3.1
	o.SetClientID(u.opt.ClientID)
	o.SetUsername(u.opt.User)
	o.SetPassword(password)
	o.SetCleanSession(true)
	o.SetAutoReconnect(false)
	o.SetConnectRetry(false)
	o.SetStore(nothing{}) // only the outbox sends again
	o.SetConnectTimeout(u.t.Connect)
	o.SetWriteTimeout(u.t.Write)
	ka, grace := l.keepAlive, pingGrace
	if ka >= 6*pingGrace {
		ka -= pingLead
	} else {
		grace = ka / 2 // in tests and on plain networks
	}
	o.SetKeepAlive(ka)
	o.SetPingTimeout(grace)
	o.SetBinaryWill(u.topic(protocol.LeafStatus), l.status(false, ""), 1, !u.opt.NoRetain)
	o.SetConnectionLostHandler(func(_ mqtt.Client, err error) {
		if lie := l.guard.fault.Load(); lie != nil {
			err = lie
		}
		if err == nil {
			err = io.EOF
		}
		l.lost <- err // paho calls it once for each connection
	})
	return o
}

// close ends the connection without good-bye and waits for paho's goroutines.
func (l *link) close() {
	l.tcp.abort()
	l.client.Disconnect(uint(joinGrace / time.Millisecond)) // returns as soon as they are gone
}

// report tells what went over the network since the last time.
func (u *Uplink) report(l *link) {
	if t := l.tcp.since(); t.WireBytes > 0 {
		u.emit(t)
	}
}

// serve runs a connection until it ends or ctx does.
func (u *Uplink) serve(ctx context.Context, l *link, took time.Duration) ending {
	began := time.Now()
	u.state.returned(u.t.KeepAlive, began)
	u.emit(Connected{
		Broker: l.broker.name, Addr: l.tcp.RemoteAddr().String(), TLS: l.tls != nil,
		Resumed: l.tls != nil && l.tls.DidResume, KeepAlive: l.keepAlive, Took: took,
	})
	_ = u.cache.save() // a full disk costs one dearer handshake, no more
	d := &drain{u: u, l: l, began: began, progress: began, fresh: true}
	// Should the link hang while we are told to stop, it is cut.
	cut := time.AfterFunc(time.Hour, l.tcp.abort)
	cut.Stop()
	defer cut.Stop()
	defer context.AfterFunc(ctx, func() { cut.Reset(2 * stopGrace) })()
	err := d.run(ctx)
	if err == nil {
		d.goodbye()
	} else {
		err = l.cause(err)
	}
	l.close()
	d.countDropped()
	d.settle()
	d.release()
	_ = u.cache.save()
	u.report(l)
	end := ending{why: whyLost(err), lasted: time.Since(began)}
	u.state.ended(l.keepAlive, end.lasted, end.why == WhyPing, time.Now())
	u.emit(Disconnected{Broker: l.broker.name, Why: end.why, Err: err, Lasted: end.lasted})
	return end
}

// cause looks behind err: paho fails the messages under way a moment before it
// says why the connection ended.
func (l *link) cause(err error) error {
	if !errors.Is(err, errUnanswered) {
		return err
	}
	select {
	case why := <-l.lost:
		return why
	case <-time.After(time.Second):
	}
	return err
}

var errUnanswered = errors.New("the link ended before the answer")

// drain moves messages over one link.
type drain struct {
	u        *Uplink
	l        *link
	flying   []flight
	bytes    int // of what flies
	began    time.Time
	progress time.Time
	batcher  *protocol.Batcher // while there is a backlog
	caughtUp bool              // the source was empty when last asked
	fresh    bool              // something came since it was last asked for urgent ones
	linger   time.Time         // non-urgent messages wait until then; zero: they do not
	rateFree time.Time         // by then the drain rate has paid for what was sent
	denied   time.Time         // the byte budget said no; asked again at this time
	command  allowance
	away     int // looks in a row at which there was a better way
}

// flight is one PUBLISH whose PUBACK is awaited.
type flight struct {
	token mqtt.Token
	seqs  []uint64
	size  int
}

// run serves the link until it breaks (the error says how) or ctx ends (nil).
func (d *drain) run(ctx context.Context) error {
	u, l := d.u, d.l
	var subDone <-chan struct{}
	subscribe := func() {
		l.suback = l.client.Subscribe(u.topic(protocol.LeafCommand), 1, l.receive)
		subDone = l.suback.Done()
	}
	if u.day.over(time.Now()) {
		u.emit(DayUsedUp{Bytes: u.opt.DayBytes})
	} else {
		subscribe()
	}
	status := l.status(true, "")
	d.fly(l.client.Publish(u.topic(protocol.LeafStatus), 1, !u.opt.NoRetain, status), nil, len(status))

	d.sayWords()
	every := time.NewTicker(u.t.Look)
	defer every.Stop()
	expiry := time.NewTicker(expiryEvery)
	defer expiry.Stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		if err := d.settle(); err != nil {
			return err
		}
		d.fill()
		timer.Reset(d.next())
		select {
		case <-ctx.Done():
			return nil
		case err := <-l.lost:
			return err
		case <-d.head():
		case <-u.opt.Source.Wake():
			d.woken()
		case <-u.newWords:
			d.sayWords()
		case c := <-l.commands:
			d.hand(c)
		case <-subDone:
			subDone = nil
			if err := d.subscribed(); err != nil {
				return err
			}
		case <-every.C:
			u.report(l)
			d.countDropped()
			if l.suback == nil && !u.day.over(time.Now()) {
				subscribe()
			}
			if time.Since(d.began) >= u.t.Stable && (u.state.Failures > 0 || u.state.Refusals > 0) {
				u.state.Failures, u.state.Refusals = 0, 0
				u.changed() // a power cut is the usual end of a good connection
			}
			if d.away++; !u.moved(ctx, l) {
				d.away = 0
			} else if d.away >= movedLooks {
				return errMoved
			}
		case <-expiry.C:
			u.checkExpiry()
		case <-timer.C:
			if err := d.late(); err != nil {
				return err
			}
		}
	}
}

// overdue reports whether the broker was silent for too long while it owed us
// an answer.
func (d *drain) overdue() bool {
	return len(d.flying) > 0 && time.Since(d.progress) >= d.u.t.Ack
}

// late ends the link when an answer is overdue, unless paho held us up and
// knows better.
func (d *drain) late() error {
	if !d.overdue() {
		return nil
	}
	if err := d.settle(); err != nil {
		return err
	}
	select {
	case err := <-d.l.lost:
		return err
	default:
	}
	if d.overdue() {
		return errAckTimeout
	}
	return nil
}

// subscribed reads the answer to SUBSCRIBE.
func (d *drain) subscribed() error {
	t := d.l.suback
	if err := t.Error(); err != nil {
		return fmt.Errorf("%w: %w", errUnanswered, err)
	}
	topic := d.u.topic(protocol.LeafCommand)
	if sub, ok := t.(*mqtt.SubscribeToken); ok && sub.Result()[topic] > 1 { // 0x80: failure
		d.u.emit(Unsubscribed{Topic: topic})
	}
	return nil
}

// head is done when the oldest PUBLISH is answered. Brokers answer in order
// (MQTT 3.1.1 §4.6); one that does not is noticed with the next answer in order.
func (d *drain) head() <-chan struct{} {
	if len(d.flying) == 0 {
		return nil
	}
	return d.flying[0].token.Done()
}

// next is how long nothing needs to be done unless something happens.
func (d *drain) next() time.Duration {
	at := time.Now().Add(time.Hour)
	earlier := func(t time.Time) {
		if t.Before(at) {
			at = t
		}
	}
	if len(d.flying) > 0 {
		earlier(d.progress.Add(d.u.t.Ack))
	}
	if !d.caughtUp && !d.full() { // something is held back: until all that holds it has passed
		at := d.rateFree.Add(-drainBurst)
		for _, t := range []time.Time{d.linger, d.denied} {
			if t.After(at) {
				at = t
			}
		}
		earlier(at)
	}
	return max(0, time.Until(at))
}

// woken notes that there may be something new. When all had been sent, what is
// not urgent waits a little for company.
func (d *drain) woken() {
	if d.caughtUp && d.linger.IsZero() {
		d.linger = time.Now().Add(d.u.t.Linger)
	}
	d.caughtUp, d.fresh = false, true
}

func (d *drain) full() bool { return len(d.flying) >= d.u.opt.Window || d.bytes >= windowBytes }

// held reports whether only urgent messages may go now.
func (d *drain) held() bool {
	now := time.Now()
	if !d.linger.IsZero() && !now.Before(d.linger) {
		d.linger = time.Time{}
	}
	return d.full() || !d.linger.IsZero() || now.Before(d.denied) || now.Before(d.rateFree.Add(-drainBurst))
}

// fill sends what may go now.
func (d *drain) fill() {
	for !d.caughtUp {
		held := d.held()
		most := protocol.BatchItems
		if held {
			if !d.fresh {
				return // nothing urgent can have come
			}
			most = urgentMax
		}
		items := d.u.opt.Source.Take(most, protocol.BatchBytes)
		if len(items) == 0 {
			d.caughtUp = true
			d.linger = time.Time{}
			d.batcher = nil // 0.8 MB
			return
		}
		rest := d.send(items, held)
		if len(rest) > 0 {
			d.u.opt.Source.Release(seqsOf(rest))
		}
		if len(rest) > 0 {
			d.fresh = false
			return // held back; woken, settle or a timer goes on
		}
	}
}

// send publishes items, those that belong together in one PUBLISH, and gives
// back what may not go now.
func (d *drain) send(items []Item, held bool) (rest []Item) {
	for len(items) > 0 {
		leaf, err := protocol.LeafFor(items[0].Type)
		if err != nil { // it would stand in the way for ever
			d.u.opt.Source.Ack(seqsOf(items[:1]))
			d.u.emit(Unsendable{Seq: items[0].Seq, Err: err})
			items = items[1:]
			continue
		}
		n := 1
		for n < len(items) && items[n].Urgent == items[0].Urgent && sameLeaf(items[n], leaf) {
			n++
		}
		urgent := items[0].Urgent
		if !urgent && (held || d.full()) || len(d.flying) >= d.u.opt.Window+urgentRoom || len(d.l.lost) > 0 {
			return items
		}
		payload, n := d.pack(items[:n])
		if !urgent && d.u.opt.Admit != nil && !d.u.opt.Admit(items[0].Type, len(payload)+publishOverhead) {
			d.denied = time.Now().Add(admitRecheck)
			return items
		}
		if urgent {
			d.denied = time.Time{}
		}
		d.pay(len(payload) + publishOverhead)
		d.fly(d.l.client.Publish(d.u.topic(leaf), 1, false, payload), seqsOf(items[:n]), len(payload))
		items = items[n:]
	}
	return nil
}

func sameLeaf(it Item, leaf protocol.Leaf) bool {
	l, err := protocol.LeafFor(it.Type)
	return err == nil && l == leaf
}

// pack renders a lone message as it is and several as a batch, and says how
// many it took. Should they not fit a batch, the first goes alone.
func (d *drain) pack(group []Item) ([]byte, int) {
	if len(group) == 1 {
		return group[0].Payload, 1
	}
	if d.batcher == nil {
		d.batcher = new(protocol.Batcher)
	}
	lines := make([][]byte, len(group))
	for i, it := range group {
		lines[i] = it.Payload
	}
	payload, err := d.batcher.Encode(lines)
	if err != nil {
		return group[0].Payload, 1
	}
	return payload, len(group)
}

// pay charges n bytes to the drain rate. Urgent ones are charged too: the
// backlog makes room for them.
func (d *drain) pay(n int) {
	rate := d.u.t.DrainPerSec
	if rate < 0 {
		return
	}
	now := time.Now()
	if d.rateFree.Before(now) {
		d.rateFree = now
	}
	d.rateFree = d.rateFree.Add(time.Duration(n) * time.Second / time.Duration(rate))
}

// fly notes a PUBLISH under way. seqs is nil for our own status.
func (d *drain) fly(token mqtt.Token, seqs []uint64, size int) {
	if len(d.flying) == 0 {
		d.progress = time.Now()
	}
	d.flying = append(d.flying, flight{token, seqs, size})
	d.bytes += size
}

// settle acknowledges what the broker acknowledged. A PUBLISH that failed ends
// the link: the order could not be kept otherwise.
func (d *drain) settle() error {
	var failed error
	kept := d.flying[:0]
	for _, f := range d.flying {
		select {
		case <-f.token.Done():
		default:
			kept = append(kept, f)
			continue
		}
		if err := f.token.Error(); err != nil {
			failed = fmt.Errorf("%w: %w", errUnanswered, err)
			kept = append(kept, f)
			continue
		}
		d.progress = time.Now()
		d.bytes -= f.size
		if len(f.seqs) > 0 {
			d.u.opt.Source.Ack(f.seqs)
			d.u.emit(Delivered{Seqs: f.seqs, Bytes: f.size})
		}
	}
	clear(d.flying[len(kept):])
	d.flying = kept
	return failed
}

// sayWords has the last words stand at the broker, for when this connection ends.
func (d *drain) sayWords() {
	words := d.u.words.Load()
	if words == nil || d.u.opt.NoRetain {
		return
	}
	d.fly(d.l.client.Publish(d.u.topic(protocol.LeafLast), 1, true, *words), nil, len(*words))
}

// release gives back what was not acknowledged, in order.
func (d *drain) release() {
	var seqs []uint64
	for _, f := range d.flying {
		seqs = append(seqs, f.seqs...)
	}
	if len(seqs) > 0 {
		d.u.opt.Source.Release(seqs)
	}
	d.flying, d.bytes = nil, 0
}

// goodbye takes the time that a polite end may take: our status, and what is
// under way. The last will stays unsaid after it.
func (d *drain) goodbye() {
	end := time.Now().Add(stopGrace)
	status := d.l.status(false, "stop")
	d.fly(d.l.client.Publish(d.u.topic(protocol.LeafStatus), 1, !d.u.opt.NoRetain, status), nil, len(status))
	for _, f := range d.flying {
		f.token.WaitTimeout(time.Until(end))
	}
	d.l.client.Disconnect(uint(stopGrace / time.Millisecond))
}

// receive takes a message from the command topic, on a goroutine of paho that
// also carries acknowledgements: it must not block.
func (l *link) receive(_ mqtt.Client, m mqtt.Message) {
	if len(m.Payload()) == 0 {
		return // a retained command was cleared
	}
	if len(m.Payload()) > protocol.MaxCommand {
		l.dropped.Add(1)
		return
	}
	select {
	case l.commands <- inbound{raw: m.Payload(), retained: m.Retained()}:
	default:
		l.dropped.Add(1)
	}
}

// hand gives a command to the owner, unless they come too fast.
func (d *drain) hand(c inbound) {
	if d.command.take(time.Now(), commandBurst, commandEvery) {
		d.u.emit(Commanded{Raw: c.raw, At: d.u.opt.Now(), Retained: c.retained})
	} else {
		d.l.dropped.Add(1)
	}
}

// countDropped says what was thrown away since the last look, a minute ago: a flood
// makes no flood of lines.
func (d *drain) countDropped() {
	if n := d.l.guard.skipped.Swap(0); n > 0 && n != d.u.skipped {
		d.u.skipped = n
		d.u.emit(MessageTooLong{Bytes: int(n), Limit: MaxPacket})
	}
	if n := d.l.dropped.Swap(0); n > 0 {
		d.u.emit(CommandDropped{Count: int(n)})
	}
}

// allowance lets burst things through at once and then one for each span.
type allowance struct {
	spent float64
	at    time.Time
}

func (a *allowance) take(now time.Time, burst int, every time.Duration) bool {
	if !a.at.IsZero() {
		a.spent = max(0, a.spent-float64(now.Sub(a.at))/float64(every))
	}
	a.at = now
	if a.spent+1 > float64(burst) {
		return false
	}
	a.spent++
	return true
}

func seqsOf(items []Item) []uint64 {
	out := make([]uint64, len(items))
	for i, it := range items {
		out[i] = it.Seq
	}
	return out
}

// nothing is a store for paho that stores nothing: with a clean session and no
// reconnecting, nothing is ever read back, and offline messages would cost RAM.
type nothing struct{}

func (nothing) Open()                             {}
func (nothing) Put(string, packets.ControlPacket) {}
func (nothing) Get(string) packets.ControlPacket  { return nil }
func (nothing) All() []string                     { return nil }
func (nothing) Del(string)                        {}
func (nothing) Close()                            {}
func (nothing) Reset()                            {}
