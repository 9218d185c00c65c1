// Package localapi is how the machine's own software, the command line and the
// page reach the agent: HTTP with JSON over a unix socket, one Status type for
// all of them, and the client of it.
//
// It keeps no state and decides nothing: each request is handed to a Backend,
// which asks the loop that owns the state. It does not reach the network; the
// page's listener gets the read-only handler.
//
//	GET  /v1/status            Status
//	POST /v1/events            Event -> 201 Receipt once durable; ?durable=false -> 202 Receipt
//	POST /v1/diagnose          lines of Step, the last one with the diagnosis
//	GET  /v1/usage             Usage
//	GET  /v1/usage/history     History; ?by=hour|day|cycle&n=31
//	GET  /v1/guard             Guard, so that the machine's software can shrink
//	GET  /v1/record            the flight recorder's export, streamed
//	GET  /v1/record/scenario   the modem's lines as a scenario for the simulator
//	POST /v1/confirm           Confirmation -> 204
//	POST /v1/machine/read      -> 204 once a read of the machine's audit has begun
//	POST /v1/machine/filled    Filling -> 204
//
// A refusal is a Problem in JSON: 400 names the place, 409 another diagnosis is
// running, 503 with Retry-After when the store cannot take an event.
package localapi
