package receiver

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"cellwarden/protocol"
	"cellwarden/protocol/backend/backendtest"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// confined tries, as one device, all that it may not do: the receiver must see what is
// its own and nothing else.
func confined(t *testing.T, url string, r *Receiver) {
	t.Helper()
	login := func(id string) func(*paho.ClientOptions) {
		return func(o *paho.ClientOptions) { o.SetUsername(id).SetPassword("pw-" + id) }
	}
	d := connect(t, url, "cw-1", login("cw-1"))
	var mu sync.Mutex
	var heard []string
	for _, topic := range []string{"cw/cw-1/d", "cw/cw-2/d", "cw/#", "cw/+/a"} {
		// A broker may refuse it, or end the connection for it: then a new one.
		spy := connect(t, url, "cw-1", login("cw-1"))
		if topic == "cw/cw-1/d" {
			d = spy
		}
		tok := spy.client.Subscribe(topic, 1, func(_ paho.Client, m paho.Message) {
			mu.Lock()
			defer mu.Unlock()
			heard = append(heard, topic+" got "+m.Topic())
		})
		tok.WaitTimeout(2 * time.Second)
		if topic != "cw/cw-1/d" {
			d = connect(t, url, "cw-1", login("cw-1")) // one client id, one connection
		}
	}
	forged := &device{t: t, id: "cw-2"}
	for _, topic := range []string{"cw/cw-2/e", "cw/cw-2/w", "cw/cw-2/d", "other/cw-1/e"} {
		c := connect(t, url, "cw-1", login("cw-1"))
		c.client.Publish(topic, 1, false, forged.envelope(protocol.TypeEvent, protocol.MachineEvent{Name: "forged"})).WaitTimeout(2 * time.Second)
	}
	d = connect(t, url, "cw-1", login("cw-1"))
	d.send(protocol.TypeEvent, protocol.MachineEvent{Name: "own"})
	within(t, 30*time.Second, "its own event", func() bool { return count(t, r.Store(), "SELECT count(*) FROM event") >= 1 })
	if n := count(t, r.Store(), "SELECT count(*) FROM device WHERE dev <> 'cw-1'"); n > 0 {
		t.Errorf("%d other devices were written by cw-1", n)
	}
	mu.Lock()
	defer mu.Unlock()
	for _, h := range heard {
		if !strings.HasSuffix(h, "got cw/cw-1/d") {
			t.Errorf("cw-1 heard what is not its own: %s", h)
		}
	}
}

// The ACL file for mosquitto confines a device to its own id.
func TestMosquittoACL(t *testing.T) {
	dir := t.TempDir()
	passwords := filepath.Join(dir, "passwords")
	if err := os.WriteFile(passwords, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, user := range []string{"cw-1", "cw-2", "cw-receiver"} {
		if out, err := exec.Command("mosquitto_passwd", "-b", passwords, user, "pw-"+user).CombinedOutput(); err != nil {
			t.Skipf("SKIPPED, NOT PROVED: mosquitto_passwd: %v %s", err, out)
		}
	}
	acl, err := os.ReadFile("../deploy/mosquitto.acl")
	if err != nil {
		t.Fatal(err)
	}
	// mosquitto gives up root: what it reads must be open to it.
	shared, err := os.MkdirTemp("", "cwacl")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(shared) })
	raw, err := os.ReadFile(passwords)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"acl": acl, "passwords": raw} {
		if err := os.WriteFile(filepath.Join(shared, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(shared, 0o755); err != nil {
		t.Fatal(err)
	}
	url, _ := backendtest.Mosquitto(t, fmt.Sprintf("allow_anonymous false\npassword_file %s/passwords\nacl_file %s/acl\n", shared, shared))
	r, _ := running(t, Config{Database: "sqlite:" + t.TempDir() + "/cw.db", Broker: strings.Replace(url, "//", "//cw-receiver:pw-cw-receiver@", 1), Share: "cw"})
	confined(t, url, r)
}

// RabbitMQ: the receiver takes from a quorum queue what devices publish by MQTT, each
// message once, and the permissions of rabbitmq.sh confine a device to its own id.
func TestRabbitMQ(t *testing.T) {
	rabbit := backendtest.RabbitMQ(t, "")
	db, _ := backendtest.Postgres(t, false)
	r, _ := running(t, Config{Database: db, AMQP: rabbit.AMQP})
	rabbit.Script("../deploy/rabbitmq.sh", "cw-1", "pw-cw-1")
	url := "mqtt://" + rabbit.MQTT[strings.IndexByte(rabbit.MQTT, '@')+1:]
	confined(t, url, r)
	before := count(t, r.Store(), "SELECT count(*) FROM event")
	d := connect(t, url, "cw-1", func(o *paho.ClientOptions) { o.SetUsername("cw-1").SetPassword("pw-cw-1") })
	d.seq = 1000
	var twice []byte
	for range 300 {
		twice = d.envelope(protocol.TypeEvent, protocol.MachineEvent{Name: "sale"})
		d.raw("e", false, twice)
	}
	d.raw("e", false, twice)
	within(t, 30*time.Second, "all of them", func() bool { return count(t, r.Store(), "SELECT count(*) FROM event") == before+300 })
	within(t, 10*time.Second, "the one that came twice", func() bool { return r.stats.Repeated.Load() >= 1 })
	d.raw("w", false, protocol.MarshalStatus(protocol.Status{Up: true, Boot: "1f2e3d4c", MonoMS: 5}))
	within(t, 10*time.Second, "its status", func() bool {
		devices, err := r.Store().Devices(t.Context(), "cw", "", 10)
		return err == nil && len(devices) > 0 && devices[0].Up != nil && *devices[0].Up
	})
}

// subscribe gives what comes on a topic.
func subscribe(t *testing.T, d *device, topic string, got chan<- string) {
	t.Helper()
	if tok := d.client.Subscribe(topic, 1, func(_ paho.Client, m paho.Message) { got <- string(m.Payload()) }); tok.Wait() && tok.Error() != nil {
		t.Fatal(tok.Error())
	}
}
