// Command consumer prints each message of every device once: go run ./protocol/cmd/consumer tcp://localhost:1883
package main

import (
	"cellwarden/protocol"
	"fmt"
	mqtt "github.com/eclipse/paho.mqtt.golang"
	"os"
)

func main() {
	seen := map[string]bool{} // in earnest: a unique key (dev, ep, seq) in your database
	o := mqtt.NewClientOptions().AddBroker(os.Args[1]).SetClientID("consumer").SetCleanSession(false).SetAutoAckDisabled(true)
	o.OnConnect = func(c mqtt.Client) {
		c.Subscribe("cw/+/+", 1, func(_ mqtt.Client, m mqtt.Message) {
			list, err := protocol.DecodePublish(m.Topic(), m.Payload()) // an error: a status, last words or not ours
			for _, e := range list {
				if id := fmt.Sprint(e.Device, " ", e.Epoch, " ", e.Seq); !seen[id] {
					seen[id] = true
					fmt.Println(e.Device, e.Seq, e.Type, string(e.Body))
				}
			}
			if err != nil {
				fmt.Println(m.Topic(), m.Retained(), string(m.Payload()))
			}
			m.Ack() // in earnest: when your transaction is committed
		})
	}
	if t := mqtt.NewClient(o).Connect(); t.Wait() && t.Error() != nil {
		panic(t.Error())
	}
	select {}
}
