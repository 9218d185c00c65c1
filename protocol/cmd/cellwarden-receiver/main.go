// Command cellwarden-receiver takes what devices publish from a broker into a
// database, keeps the life of alerts and sends webhooks.
//
//	cellwarden-receiver -broker mqtt://user:password@host:1883 -db postgres://user:password@host/cellwarden
//
// Each flag may be given as an environment variable instead, which suits passwords:
// CW_BROKER, CW_DB, CW_TOKEN, ... protocol/backend/README.md says the rest.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"cellwarden/protocol"
	"cellwarden/protocol/backend/mqtt"
	"cellwarden/protocol/backend/receiver"
	"cellwarden/protocol/backend/store"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "cellwarden-receiver:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	f := flag.NewFlagSet("cellwarden-receiver", flag.ContinueOnError)
	f.SetOutput(out)
	var cfg receiver.Config
	f.StringVar(&cfg.Database, "db", "sqlite:cellwarden.db", "postgres://user:password@host/database or sqlite:path")
	f.StringVar(&cfg.Broker, "broker", "", "MQTT 5 broker: mqtt://user:password@host:1883, mqtts://...")
	f.StringVar(&cfg.AMQP, "amqp", "", "RabbitMQ instead: amqp://user:password@host:5672/")
	f.StringVar(&cfg.Queue, "queue", "cellwarden", "quorum queue, with -amqp")
	f.StringVar(&cfg.Prefix, "prefix", "cw", "first level of the topics")
	f.StringVar(&cfg.Share, "share", "cw", "name of the shared subscriptions; empty for brokers without")
	f.StringVar(&cfg.ClientID, "client", "cw-receiver-1", "MQTT client id: fixed, another for each receiver")
	f.StringVar(&cfg.Listen, "listen", "127.0.0.1:8080", "HTTP: API, /metrics, /healthz")
	f.StringVar(&cfg.Token, "token", "", "of the API; needed where -listen is not a loopback address")
	allow := f.String("webhook-allow", "", "private networks that webhooks may go to: 10.1.2.0/24,...")
	f.BoolVar(&cfg.Plain, "webhook-http", false, "webhooks may be http")
	events := f.Duration("keep-events", store.DefaultRetention.Events, "how long events are kept")
	states := f.Duration("keep-states", store.DefaultRetention.States, "how long states are kept")
	known := f.Bool("known-devices-only", false, "reject devices that are not in the table device")
	drain := f.Bool("drain", false, "take this receiver out of the group for good: finish its share, end its session, stop")
	var fleet fleetFlags
	fleet.add(f)
	if err := f.Parse(args); err != nil {
		return err
	}
	given := map[string]bool{}
	f.Visit(func(x *flag.Flag) { given[x.Name] = true })
	var bad error
	f.VisitAll(func(x *flag.Flag) {
		name := "CW_" + strings.ToUpper(strings.ReplaceAll(x.Name, "-", "_"))
		if v, ok := os.LookupEnv(name); ok && !given[x.Name] {
			if err := x.Value.Set(v); err != nil {
				bad = errors.Join(bad, fmt.Errorf("%s: %w", name, err))
			}
		}
	})
	if bad != nil {
		return bad
	}
	for _, text := range strings.FieldsFunc(*allow, func(r rune) bool { return r == ',' }) {
		p, err := netip.ParsePrefix(strings.TrimSpace(text))
		if err != nil {
			return fmt.Errorf("-webhook-allow: %w", err)
		}
		cfg.Allow = append(cfg.Allow, p)
	}
	cfg.Retention = store.Retention{Events: *events, States: *states}
	cfg.Limits = store.DefaultLimits
	cfg.Limits.UnknownDevice = !*known
	cfg.Log = slog.New(slog.NewTextHandler(out, nil))
	var r *receiver.Receiver
	err := fleet.setup(ctx, &cfg, func(ctx context.Context, device string, c protocol.Command) error { return r.Send(ctx, device, c) })
	if err != nil {
		return err
	}
	if r, err = receiver.New(ctx, cfg); err != nil {
		return err
	}
	if *drain {
		if cfg.Broker == "" {
			return errors.New("-drain is for MQTT: a queue of RabbitMQ keeps nothing for a receiver")
		}
		return drainOut(ctx, cfg, r.Store())
	}
	return r.Run(ctx)
}

// quiet is how long nothing must have come for the share to count as finished.
const quiet = 3 * time.Second

func drainOut(ctx context.Context, cfg receiver.Config, s *store.Store) error {
	return mqtt.DrainOut(ctx, mqtt.Options{URL: cfg.Broker, ClientID: cfg.ClientID, Prefix: cfg.Prefix, Share: cfg.Share, Log: cfg.Log}, s, quiet)
}
