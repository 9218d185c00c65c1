// Package websocket takes the place of github.com/gorilla/websocket, by a
// replace directive in the agent's go.mod.
//
// paho.mqtt.golang can speak MQTT over WebSocket and therefore links in a whole
// client for it, with a proxy client, compression and an HTTP upgrade: 0.12 MB
// of the device's binary, 1.5 % of what it may have. The agent refuses ws:// and
// wss:// brokers in its config, so that none of it could ever run. What is left
// here is what paho and the brokers of the tests need to compile; everything
// fails with ErrNotBuilt.
//
// To have WebSocket back, delete the replace directive and this folder.
package websocket

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// ErrNotBuilt is the only answer of this package.
var ErrNotBuilt = errors.New("websocket: not part of this program")

// BinaryMessage is the opcode of RFC 6455 §11.8.
const BinaryMessage = 2

// Dialer holds what paho sets; nothing reads it.
type Dialer struct {
	Proxy                           func(*http.Request) (*url.URL, error)
	TLSClientConfig                 *tls.Config
	HandshakeTimeout                time.Duration
	ReadBufferSize, WriteBufferSize int
	Subprotocols                    []string
	EnableCompression               bool
}

// Dial fails.
func (*Dialer) Dial(string, http.Header) (*Conn, *http.Response, error) {
	return nil, nil, ErrNotBuilt
}

// Upgrader holds what mochi-mqtt sets; nothing reads it.
type Upgrader struct {
	Subprotocols []string
	CheckOrigin  func(*http.Request) bool
}

// Upgrade fails.
func (*Upgrader) Upgrade(http.ResponseWriter, *http.Request, http.Header) (*Conn, error) {
	return nil, ErrNotBuilt
}

// Conn is never made.
type Conn struct{ net.Conn }

// UnderlyingConn is never called.
func (c *Conn) UnderlyingConn() net.Conn { return c.Conn }

// NextReader fails.
func (*Conn) NextReader() (int, io.Reader, error) { return 0, nil, ErrNotBuilt }

// WriteMessage fails.
func (*Conn) WriteMessage(int, []byte) error { return ErrNotBuilt }
