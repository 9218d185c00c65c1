// Package demo plays one story that a merchant knows, in about a minute: a
// vending machine sells, its data plan runs out, the carrier stops the data, the
// machine goes on selling, the month turns and everything arrives.
//
// The agent in it is the one of `cellwarden run`: agent.Run with the device's
// own hardware code, a serial port (a pseudo terminal) and a real MQTT
// connection over TCP. Simulated are the modem (package modemtest), the mobile
// network with its byte counters, the reachability probes, and the calendar,
// which runs fast. The broker is embedded. Nothing leaves the machine.
//
// Run counts what happened on both sides and says whether it held; a promise
// that was not kept is an error. The package is linked into the demo and its
// tests, never into the device's binary.
package demo
