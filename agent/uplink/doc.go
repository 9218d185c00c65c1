// Package uplink moves messages: from a Source (the outbox) to a broker, and
// commands from the broker to the owner.
//
// It holds one MQTT 3.1.1 connection at a time, by paho.mqtt.golang used as a
// transport only: a clean session, a new client for each connection, no store,
// no reconnecting of its own. A message is acknowledged to the Source when its
// PUBACK is here and not before; what was under way when a link dropped goes
// back to the Source and is sent again. Alerts pass the backlog, which travels
// in compressed batches at a limited rate.
//
// What a broker sends is not trusted: every packet is framed, bounded and
// checked by the guard before paho sees it.
//
// The key of its own certificate is a PEM file or stays in a TPM 2.0. PKCS#11 needs
// cgo, which a static binary has not.
//
// It does not decide what to send, judge commands, or store anything except,
// where asked to, the TLS session that makes the next handshake cheap.
package uplink
