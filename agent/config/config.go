// Package config reads the one TOML file of the agent. It is strict: an
// unknown key, a wrong type or a value out of range is refused, all of them at
// once, each with file, line and cure. It holds the defaults in one variable,
// Default, and the commented example in one file, Example. It opens no port,
// asks no network, and never prints a secret.
package config

import (
	_ "embed"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"cellwarden/protocol"
)

// DefaultPath is where the agent looks when it is not told.
const DefaultPath = "/etc/cellwarden/cellwarden.toml"

// Example is a complete commented file; it reads as Default.
//
//go:embed example.toml
var Example string

// Config is the whole file. The zero value is not usable; start from Default.
type Config struct {
	Device   Device        `toml:"device"`
	Modem    Modem         `toml:"modem"`
	Data     Data          `toml:"data"`
	Plan     protocol.Plan `toml:"plan"`
	Uplink   Uplink        `toml:"uplink"`
	Probes   Probes        `toml:"probes"`
	Store    Store         `toml:"store"`
	API      API           `toml:"api"`
	Log      Log           `toml:"log"`
	Update   Update        `toml:"update"`
	Diag     Diag          `toml:"diag"`
	Carrier  Carrier       `toml:"carrier"`
	Machine  Machine       `toml:"machine"`
	Recovery Recovery      `toml:"recovery"`
	SMS      SMS           `toml:"sms"`
}

// Device names the machine.
type Device struct {
	ID     string `toml:"id"`   // "auto": see DeviceID
	Name   string `toml:"name"` // for people
	Lang   string `toml:"lang"` // "zh" or "en"
	Target string `toml:"target"`
}

// Modem is the module and its port.
type Modem struct {
	Port           string   `toml:"port"` // "auto", "none" or a path
	Baud           int      `toml:"baud"`
	USBVendor      string   `toml:"usb_vendor"`    // four hex digits, "" is any known one
	USBProduct     string   `toml:"usb_product"`   // four hex digits, "" is any
	USBInterface   int      `toml:"usb_interface"` // -1: the first that answers AT
	Profile        string   `toml:"profile"`       // "auto" or the name of a profile
	Poll           Duration `toml:"poll"`
	CommandTimeout Duration `toml:"command_timeout"`
	SMSDelete      string   `toml:"sms_delete"` // "never" or "read"
}

// SMS is the last path, when no data passes. Numbers are as they are dialled abroad.
type SMS struct {
	ReportTo     string   `toml:"report_to"`
	CommandsFrom []string `toml:"commands_from"`
	Code         Secret   `toml:"code"` // without it nobody is heard
}

// Recovery is what the agent may do to bring the machine back. The steps are those of
// package remedy.
type Recovery struct {
	Enabled bool     `toml:"enabled"`
	Allow   []string `toml:"allow"`  // of the steps that need consent
	Forbid  []string `toml:"forbid"` // of all
}

// Data is the interface that the plan pays for.
type Data struct {
	Interfaces []string `toml:"interfaces"` // names or patterns, the first that exists counts
	Poll       Duration `toml:"poll"`
	BlockAt    string   `toml:"block_at"` // "never", or per cent of the quota: "100%"
}

// BlockPercent is where the machine's traffic is stopped, in per cent of the
// quota; 0 is never.
func (d Data) BlockPercent() int {
	n, _ := strconv.Atoi(strings.TrimSuffix(d.BlockAt, "%")) // checked by Check
	return n
}

// Uplink is the way to the backend. Without brokers it is off.
type Uplink struct {
	Brokers          []string `toml:"brokers"`
	ClientID         string   `toml:"client_id"` // "" is the device id
	Username         string   `toml:"username"`
	Password         Secret   `toml:"password"`
	PasswordFile     string   `toml:"password_file"`
	CAFile           string   `toml:"ca_file"`
	CertFile         string   `toml:"cert_file"`
	KeyFile          string   `toml:"key_file"`
	ServerName       string   `toml:"server_name"`
	PinSHA256        []string `toml:"pin_sha256"` // base64 of the SHA-256 of a SubjectPublicKeyInfo
	TopicPrefix      string   `toml:"topic_prefix"`
	KeepAlive        Duration `toml:"keepalive"`
	Interface        string   `toml:"interface"` // "any", "data" or a name
	Window           int      `toml:"window"`    // messages in flight
	Commands         []string `toml:"commands"`
	Unsigned         bool     `toml:"unsigned_commands"`
	CommandKeys      []string `toml:"command_keys"` // base64 Ed25519 public keys
	ReportEvery      Duration `toml:"report_every"`
	DailyBudgetBytes uint64   `toml:"daily_budget_bytes"` // 0: by the plan
	Identities       string   `toml:"identities"`         // how ICCID and IMEI cross the wire: clear, hashed or none
}

// tpmPrefix begins a key_file that is no file but a key in the board's TPM.
const tpmPrefix = "tpm:"

// TPMHandle is the handle in a key_file such as "tpm:0x81000001"; 0 where it is
// none of a persistent key. ok is false where key_file is a file.
func (u Uplink) TPMHandle() (handle uint32, ok bool) {
	text, ok := strings.CutPrefix(u.KeyFile, tpmPrefix)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(text, 0, 32)
	if err != nil || n>>24 != 0x81 { // TPM 2.0 part 2: TPM_HT_PERSISTENT
		return 0, true
	}
	return uint32(n), true
}

// Probes are the reachability tests.
type Probes struct {
	ThirdParty       []string `toml:"third_party"` // "address:port", two owners
	HTTPURL          string   `toml:"http_url"`
	Own              []string `toml:"own"` // "host:port"; empty: the brokers
	DNS              []string `toml:"dns"` // servers; empty: the board's own
	NTP              []string `toml:"ntp"`
	DailyBudgetBytes uint64   `toml:"daily_budget_bytes"`
	Interval         Duration `toml:"interval"`
}

// Store is what is kept on the flash.
type Store struct {
	Dir             string   `toml:"dir"`
	OutboxBytes     int64    `toml:"outbox_bytes"`
	CommitEvery     Duration `toml:"commit_every"`
	MeterFlushBytes uint64   `toml:"meter_flush_bytes"`
}

// API is the local door. An empty address closes it.
type API struct {
	Socket  string   `toml:"socket"`
	HTTP    string   `toml:"http"`
	Names   []string `toml:"names"`    // host names under which the page may be opened
	TLSCert string   `toml:"tls_cert"` // PEM, with its chain; "" is HTTP
	TLSKey  string   `toml:"tls_key"`
}

// Log is the agent's own log.
type Log struct {
	Level  string `toml:"level"`
	Format string `toml:"format"`
}

// Diag tunes the judgement.
type Diag struct {
	WeightsFile string              `toml:"weights_file"`
	Hold        map[string]Duration `toml:"hold"` // by class
}

// Carrier adds knowledge of an operator.
type Carrier struct {
	File string `toml:"file"`
}

// Default is what a missing key means.
//
// The modem's times hold the promise of a verdict within 30 s of a modem going
// mute: it falls silent right after a poll, so that nobody asks for 6 s; then
// the command times out in 5 s, the dialogue tries to get back in step for 15 s
// (package at), and the port is opened and asked once more in 3 s: 29 s.
var Default = Config{
	Device: Device{ID: "auto", Lang: "en", Target: "auto"},
	Modem: Modem{
		Port: "auto", Baud: 115200, USBInterface: -1, Profile: "auto",
		Poll: Duration(6 * time.Second),
		// TS 27.007 sets no time; +CPIN? may take 5 s by the manuals. Commands that
		// take longer say so in their profile.
		CommandTimeout: Duration(5 * time.Second),
		SMSDelete:      "never", // a message may be meant for another program
	},
	Data: Data{
		// The kernel's names (wwan0), systemd's (wwp…, wwx…), pppd's, RNDIS and ECM
		// gadgets, Android. Not rmnet_ipa0, which carries the same bytes again.
		Interfaces: []string{"wwan*", "wwp*", "wwx*", "ppp*", "usb*", "rmnet_data*"},
		Poll:       Duration(5 * time.Second), // an interface that is down is told within it
		BlockAt:    "never",
	},
	Plan: protocol.Plan{Thresholds: []int{80, 95, 100}},
	Uplink: Uplink{
		TopicPrefix: "cw",
		KeepAlive:   Duration(20 * time.Minute), // a ping costs 204 bytes over TLS: 15 kB a day
		Interface:   "any",
		Window:      8,
		// All that cannot change the device; "config" must be allowed by hand.
		Commands:    []string{"plan", "sim_status", "neighbours", "diagnose", "report", "bundle", "confirm"},
		ReportEvery: Duration(time.Hour),
		Identities:  "hashed",
	},
	Probes: Probes{
		// Public DNS over HTTPS of Alibaba and of Tencent: two owners, both
		// documented to serve by this address, near in China and reachable abroad.
		ThirdParty: []string{"223.5.5.5:443", "1.12.12.12:443"},
		HTTPURL:    "http://connect.rom.miui.com/generate_204",
		NTP:        []string{"ntp.aliyun.com", "ntp.tencent.com"},
		// Some 20 rounds without TLS, or six with a full handshake each.
		DailyBudgetBytes: 40_000,
		// While all is well. In doubt the agent asks at once, within the budget.
		Interval: Duration(6 * time.Hour),
	},
	Store: Store{
		Dir:         "/var/lib/cellwarden",
		OutboxBytes: 16 << 20, // about 50,000 events of 300 bytes
		CommitEvery: Duration(2 * time.Second),
		// At 1 MB a day eight writes; a power cut forgets at most this much traffic.
		MeterFlushBytes: 128 << 10,
	},
	API:      API{Socket: "/run/cellwarden/api.sock", HTTP: "127.0.0.1:8788"},
	Log:      Log{Level: "info", Format: "text"},
	Recovery: Recovery{Enabled: true},
	Update: Update{
		Window: "01:00-05:00",
		// A delta in one night, a whole binary in two or three.
		DailyBudgetBytes: 1_500_000,
		UntilPercent:     70,
		ConfirmAfter:     Duration(time.Minute),
		// A weak line may need several tries to reach the broker.
		ConfirmWithin: Duration(15 * time.Minute),
	},
	Diag:    Diag{},
	Machine: defaultMachine,
}

// Duration is a time.Duration, written "30s", "20m", "1h30m".
type Duration time.Duration

// Std is d as the standard library's type.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// String leaves out zero minutes and seconds: "20m", not "20m0s".
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}

// MarshalText makes JSON show what the file says.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// Secret is a text that no print, log or JSON shows.
type Secret string

// Reveal is the text itself, for the one place that must send it.
func (s Secret) Reveal() string { return string(s) }

func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "(set, not shown)"
}

// Format covers every verb; %d of a string type would print the text.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// MarshalText covers JSON and TOML.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue covers slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// maxSecretFile bounds a password or PIN file.
const maxSecretFile = 4 << 10

// ReadSecret reads a password or PIN from its own file; the line end is not
// part of it. The error names the path and never the content.
func ReadSecret(path string) (Secret, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("config: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSecretFile+1))
	if err != nil {
		return "", fmt.Errorf("config: %w", err)
	}
	text := strings.TrimRight(string(b), "\r\n")
	switch {
	case len(b) > maxSecretFile:
		return "", fmt.Errorf("config: %s: more than %d bytes, which is no password", path, maxSecretFile)
	case text == "":
		return "", fmt.Errorf("config: %s: the file is empty", path)
	case strings.ContainsAny(text, "\r\n\x00"):
		return "", fmt.Errorf("config: %s: more than one line", path)
	}
	return Secret(text), nil
}

// BrokerPassword is the password, from the config or from its file. The file
// is read anew each time, so that it can be changed without a restart.
func (u Uplink) BrokerPassword() (Secret, error) {
	if u.PasswordFile == "" {
		return u.Password, nil
	}
	return ReadSecret(u.PasswordFile)
}
