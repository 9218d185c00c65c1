// Package agent wires the parts and runs them. It starts and joins every
// goroutine:
//
//	loop     owns the core, steps it, carries its effects out
//	line     the modem worker: opens the port, asks, hears URCs, opens again
//	prober   one reachability probe at a time
//	uplink   the MQTT session
//	server   the local socket and the page
//
// It decides nothing: package core does. What hardware, clocks and files are,
// comes in through device.Hardware, so that the demo and the tests run the same code.
package agent
