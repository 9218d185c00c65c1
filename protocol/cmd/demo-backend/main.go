// Command demo-backend shows the backend's side in one process: a broker, a receiver
// over SQLite, twenty machines that sell and fail, and a webhook that prints what it
// gets. make demo-backend runs it; it needs nothing beside Go.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"cellwarden/protocol"
	"cellwarden/protocol/backend/receiver"
	"cellwarden/protocol/backend/store"
	"cellwarden/protocol/backend/webhook"

	paho "github.com/eclipse/paho.mqtt.golang"
	broker "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "the page and the API")
	once := flag.Bool("once", false, "end when the first group was told")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdout, *listen, *once); err != nil {
		fmt.Fprintln(os.Stderr, "demo-backend:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, listen string, once bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	dir, err := os.MkdirTemp("", "cellwarden-backend-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a demo's
	quiet := slog.New(slog.DiscardHandler)
	url, stop, err := startBroker(quiet)
	if err != nil {
		return err
	}
	defer stop()
	done := make(chan struct{}, 1)
	hook, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	sink := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var c store.CloudEvent
		if err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&c); err != nil {
			return
		}
		fmt.Fprintf(out, "webhook %s %s\n    %s\n    %s\n", c.Type, c.Subject, indent(webhook.Text("en", c)), indent(webhook.Text("zh", c)))
		if c.Type == "group.raised" {
			select {
			case done <- struct{}{}:
			default:
			}
		}
	})}
	go func() { _ = sink.Serve(hook) }() // it ends with the process
	defer sink.Close()                   //nolint:errcheck // likewise
	r, err := receiver.New(ctx, receiver.Config{Database: "sqlite:" + filepath.Join(dir, "cellwarden.db"), Broker: url, Share: "cw", Listen: listen,
		Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Plain: true, Log: quiet})
	if err != nil {
		return err
	}
	if _, err := receiver.AddEndpoint(ctx, r.Store(), "cw", "", "http://"+hook.Addr().String(), "whsec_Y2VsbHdhcmRlbi1kZW1vLXdlYmhvb2st", "", true); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	if !once {
		fmt.Fprintf(out, "A broker, a receiver and twenty machines run. Look at\n  http://%s/               how they stand\n  http://%s/api/v1/alerts  the faults\n"+
			"  http://%s/metrics        for Prometheus\n  mosquitto_sub -p %s -t 'cw/#' -v\nControl-C ends it. Faults come within the first minute.\n\n", listen, listen, listen, url[len("mqtt://127.0.0.1:"):])
	}
	go fleet(ctx, url, r)
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	case <-onlyIf(once, done):
	}
	cancel()
	return <-ended
}

func onlyIf(ok bool, c <-chan struct{}) <-chan struct{} {
	if ok {
		return c
	}
	return nil
}

func indent(text string) string {
	out := ""
	for _, r := range text {
		if r == '\n' {
			out += " | "
		} else {
			out += string(r)
		}
	}
	return out
}

func startBroker(log *slog.Logger) (url string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	b := broker.New(&broker.Options{Logger: log})
	if err := b.AddHook(new(anyone), nil); err != nil {
		return "", nil, err
	}
	if err := b.AddListener(listeners.NewNet("demo", l)); err != nil {
		return "", nil, err
	}
	go func() { _ = b.Serve() }() // it ends by Close
	return "mqtt://" + l.Addr().String(), func() { _ = b.Close() }, nil
}

// anyone may do anything: the broker listens on a loopback address, for a demo.
type anyone struct{ broker.HookBase }

func (anyone) ID() string { return "anyone" }
func (anyone) Provides(b byte) bool {
	return b == broker.OnConnectAuthenticate || b == broker.OnACLCheck
}
func (anyone) OnConnectAuthenticate(*broker.Client, packets.Packet) bool { return true }
func (anyone) OnACLCheck(*broker.Client, string, bool) bool              { return true }

// machines of the demo; every fourth has a card of the pool that runs dry.
const machines = 20

// fleet plays them until ctx ends: each sells, reports, and says its last words.
func fleet(ctx context.Context, url string, r *receiver.Receiver) {
	c := paho.NewClient(paho.NewClientOptions().AddBroker("tcp://" + url[len("mqtt://"):]).SetClientID("fleet"))
	if t := c.Connect(); t.Wait() && t.Error() != nil {
		return
	}
	defer c.Disconnect(100)
	for { // the receiver's subscription stands when it says so
		if ok, _ := r.Up(); ok {
			break
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
	seq := make([]uint64, machines)
	began := time.Now()
	send := func(i int, typ protocol.Type, body any) {
		leaf, err := protocol.LeafFor(typ)
		raw, err2 := protocol.NewBody(body)
		if err != nil || err2 != nil {
			return
		}
		seq[i]++
		e := protocol.Envelope{V: protocol.Version, Device: name(i), Epoch: "00000001", Seq: seq[i], Type: typ, At: at(began), Body: raw}
		if out, err := protocol.MarshalEnvelope(e); err == nil {
			c.Publish("cw/"+name(i)+"/"+string(leaf), 1, false, out).Wait()
		}
	}
	for i := range machines {
		c.Publish("cw/"+name(i)+"/w", 1, true, protocol.MarshalStatus(protocol.Status{Up: true, Boot: "00000001", MonoMS: 1})).Wait()
		send(i, protocol.TypeInventory, protocol.Inventory{Why: "start", IDs: "none", Maker: "Quectel", Model: "EC20F", Agent: "demo"})
		rsrp := -80 - 2*float64(i)
		send(i, protocol.TypeState, protocol.State{Class: "healthy", Verdict: "healthy", RSRP: &rsrp, RAT: "lte", PLMN: "46000", UsedBytes: uint64(20+i) << 20, QuotaBytes: 30 << 20})
	}
	fault := func(i int, id, class, verdict, who, code string) {
		send(i, protocol.TypeAlert, protocol.Alert{Incident: id, Class: class, Verdict: verdict, Since: at(began), Act: &protocol.Action{Who: who, Code: code}})
	}
	for n := 0; ; n++ {
		i := rand.IntN(machines)
		send(i, protocol.TypeEvent, protocol.MachineEvent{Name: "sale", Data: json.RawMessage(fmt.Sprintf(`{"fen":%d}`, 100*(2+rand.IntN(4))))})
		switch n {
		case 4, 5, 6, 7, 8: // five cards of one pool
			fault(4*(n-4), fmt.Sprint("pool", n), "over_quota", "confirmed", "owner", "over_quota.pool")
		case 12:
			fault(3, "weak", "weak_signal", "likely", "technician", "weak_signal")
		case 40:
			send(3, protocol.TypeClear, protocol.Clear{Incident: "weak", Class: "weak_signal", Since: at(began), LastedMS: 28_000, EndedBy: "recovered"})
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second):
		}
	}
}

func name(i int) string { return fmt.Sprintf("vm-%04d", i+1) }

func at(began time.Time) protocol.Time {
	return protocol.Time{Wall: time.Now().UTC().Format("2006-01-02T15:04:05.000Z07:00"), Trusted: true, Boot: "00000001", MonoMS: 1 + time.Since(began).Milliseconds()}
}
