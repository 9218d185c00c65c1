package uplink

import (
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// TestNoWebSocket: what stands in for the WebSocket library refuses, so that
// whoever lets a ws:// broker through the config hears why nothing connects.
func TestNoWebSocket(t *testing.T) {
	for _, broker := range []string{"ws://127.0.0.1:1/mqtt", "wss://127.0.0.1:1/mqtt"} {
		c := mqtt.NewClient(mqtt.NewClientOptions().AddBroker(broker).SetConnectTimeout(time.Second))
		token := c.Connect()
		if !token.WaitTimeout(10 * time.Second) {
			t.Fatalf("%s: no answer", broker)
		}
		if err := token.Error(); err == nil || !strings.Contains(err.Error(), "not part of this program") {
			t.Errorf("%s: %v", broker, err)
		}
	}
}
