package config

import (
	"cmp"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"cellwarden/agent/diag"
	"cellwarden/agent/remedy"
	"cellwarden/protocol"
)

// CommandNames are the commands that the backend may be allowed to send.
var CommandNames = []string{"plan", "sim_status", "neighbours", "diagnose", "report", "bundle", "confirm", "time", "config", "update", "audit"}

// brokerSchemes are those that paho understands; true means TLS.
var brokerSchemes = map[string]bool{
	"mqtt": false, "tcp": false, "mqtts": true, "ssl": true, "tls": true,
}

var (
	idPattern     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	namePattern   = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`) // files: profiles, targets
	usbPattern    = regexp.MustCompile(`^[0-9a-fA-F]{4}$`)
	offsetPattern = regexp.MustCompile(`^[+-](0[0-9]|1[0-4]):[0-5][0-9]$`)
	plmnPattern   = regexp.MustCompile(`^[0-9]{3}-[0-9]{2,3}$`)
	blockPattern  = regexp.MustCompile(`^(never|[1-9][0-9]{0,2}%)$`)
	labelPattern  = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$`)
	bauds         = []int{9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600}
)

// checker collects problems; a rule that holds adds none.
type checker struct{ problems []Problem }

// add notes a problem with one key; restsOn are others that it is about.
func (k *checker) add(key, what, cure string, restsOn ...string) {
	k.problems = append(k.problems, Problem{Key: key, What: what, Cure: cure, restsOn: restsOn})
}

func (k *checker) oneOf(key, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		k.add(key, fmt.Sprintf("%q is not known", value), "write one of "+strings.Join(allowed, ", "))
	}
}

func between[T cmp.Ordered](k *checker, key string, value, low, high T) {
	if value < low || value > high {
		k.add(key, fmt.Sprintf("%v is out of range", value), fmt.Sprintf("write %v to %v", low, high))
	}
}

func (k *checker) between(key string, value Duration, low, high time.Duration) {
	if value.Std() < low || value.Std() > high {
		k.add(key, value.String()+" is out of range", fmt.Sprintf("write %q to %q", Duration(low), Duration(high)))
	}
}

func (k *checker) absolute(key, file string) {
	if file != "" && !path.IsAbs(file) {
		k.add(key, fmt.Sprintf("%q is not an absolute path", file), "begin it with /")
	}
}

// Check looks at values and at how they go together. It reads no file. The
// problems have neither file nor line.
func Check(c Config) []Problem {
	k := &checker{}
	k.device(c.Device)
	k.modem(c.Modem)
	k.data(c.Data)
	k.plan(c)
	k.uplink(c.Uplink)
	k.probes(c)
	k.store(c.Store)
	k.api(c.API)
	k.update(c.Update)
	k.oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	k.oneOf("log.format", c.Log.Format, "text", "json")
	k.diag(c.Diag)
	k.absolute("carrier.file", c.Carrier.File)
	k.machine(c)
	k.recovery(c.Recovery)
	k.sms(c.SMS)
	return k.problems
}

func (k *checker) device(d Device) {
	if !idPattern.MatchString(d.ID) {
		k.add("device.id", fmt.Sprintf("%q cannot be a device id", d.ID), `use 1 to 64 of A-Z a-z 0-9 . _ - (it stands in the MQTT topic), or "auto"`)
	}
	if len(d.Name) > 128 || strings.ContainsFunc(d.Name, unicode.IsControl) {
		k.add("device.name", "is longer than 128 bytes or has control characters", "shorten it to one line")
	}
	k.oneOf("device.lang", d.Lang, "zh", "en")
	if !namePattern.MatchString(d.Target) && !path.IsAbs(d.Target) {
		k.add("device.target", fmt.Sprintf("%q cannot be a target", d.Target), `write "auto", the path of a board's file, or a name of: cellwarden target list`)
	}
}

func (k *checker) modem(m Modem) {
	if m.Port != "auto" && m.Port != "none" && !strings.HasPrefix(m.Port, "/") {
		k.add("modem.port", fmt.Sprintf("%q is not a port", m.Port), `write "auto", "none" or a path such as "/dev/ttyUSB2"`)
	}
	if !slices.Contains(bauds, m.Baud) {
		k.add("modem.baud", fmt.Sprintf("%d is not a line speed", m.Baud), "write 115200, or what the module is set to: "+joinInts(bauds))
	}
	for _, id := range []struct{ key, value string }{{"modem.usb_vendor", m.USBVendor}, {"modem.usb_product", m.USBProduct}} {
		if id.value != "" && !usbPattern.MatchString(id.value) {
			k.add(id.key, fmt.Sprintf("%q is not a USB id", id.value), `write the four hex digits that lsusb shows, such as "2c7c"`)
		}
	}
	if m.USBProduct != "" && m.USBVendor == "" {
		k.add("modem.usb_product", "has no vendor beside it", "set usb_vendor too", "modem.usb_vendor")
	}
	between(k, "modem.usb_interface", m.USBInterface, -1, 31)
	if !namePattern.MatchString(m.Profile) {
		k.add("modem.profile", fmt.Sprintf("%q cannot be a profile", m.Profile), `write "auto" or the name of a profile, such as "quectel-ec2x"`)
	}
	k.between("modem.poll", m.Poll, time.Second, 10*time.Minute)
	k.between("modem.command_timeout", m.CommandTimeout, time.Second, time.Minute)
	k.oneOf("modem.sms_delete", m.SMSDelete, "never", "read")
}

// numberPattern is a number as it is dialled abroad.
var numberPattern = regexp.MustCompile(`^\+[0-9]{8,15}$`)

func (k *checker) sms(s SMS) {
	if s.ReportTo != "" && !numberPattern.MatchString(s.ReportTo) {
		k.add("sms.report_to", "is not a number", "write it with its country, such as +8613800000000")
	}
	for _, n := range s.CommandsFrom {
		if !numberPattern.MatchString(n) {
			k.add("sms.commands_from", "one is not a number", "write them with their country, such as +8613800000000")
			break
		}
	}
	if code := s.Code.Reveal(); len(s.CommandsFrom) > 0 && (len(code) < 6 || strings.ContainsAny(code, " \t")) {
		k.add("sms.code", "is too short, or has a space in it", "write at least six letters and digits: numbers of senders can be forged")
	}
}

// recovery holds the lists to steps that there are; package remedy has what each does.
func (k *checker) recovery(r Recovery) {
	for key, list := range map[string][]string{"recovery.allow": r.Allow, "recovery.forbid": r.Forbid} {
		for _, step := range list {
			info, ok := remedy.Builtin.Step[remedy.Step(step)]
			switch {
			case !ok:
				k.add(key, fmt.Sprintf("%q is no step", step), "write some of "+strings.Join(remedySteps(key == "recovery.allow"), ", "))
			case key == "recovery.allow" && !info.Consent:
				k.add(key, fmt.Sprintf("%q needs no consent", step), "take it out of the list; recovery.forbid keeps it from being taken")
			}
		}
	}
}

func remedySteps(consent bool) (out []string) {
	for step, info := range remedy.Builtin.Step {
		if info.Consent || !consent {
			out = append(out, string(step))
		}
	}
	slices.Sort(out)
	return out
}

func (k *checker) data(d Data) {
	if len(d.Interfaces) == 0 {
		k.add("data.interfaces", "is empty", `name the data interface, such as ["wwan0"]`)
	}
	for _, name := range d.Interfaces {
		if _, err := path.Match(name, ""); err != nil || name == "" || strings.ContainsAny(name, "/ \t") {
			k.add("data.interfaces", fmt.Sprintf("%q is not an interface name or pattern", name), `write such as "wwan0" or "ppp*"`)
		}
	}
	k.between("data.poll", d.Poll, time.Second, 10*time.Minute)
	if !blockPattern.MatchString(d.BlockAt) {
		k.add("data.block_at", fmt.Sprintf("%q is neither never nor per cent", d.BlockAt), `write "never", or such as "100%" of the quota`)
	}
}

func (k *checker) plan(c Config) {
	p := c.Plan
	between(k, "plan.cycle_day", p.CycleDay, 0, 31)
	if p.UTCOffset != "" && !offsetPattern.MatchString(p.UTCOffset) {
		k.add("plan.utc_offset", fmt.Sprintf("%q is not an offset", p.UTCOffset), `write the operator's, such as "+08:00"`)
	}
	if p.OnExhaust != "" {
		k.oneOf("plan.on_exhaust", p.OnExhaust, "stop", "overage", "throttle")
	}
	for _, d := range []struct{ key, value string }{{"plan.expires", p.Expires}, {"plan.silent_until", p.SilentUntil}} {
		if d.value == "" {
			continue
		}
		if _, err := time.Parse(time.DateOnly, d.value); err != nil {
			k.add(d.key, fmt.Sprintf("%q is not a date", d.value), `write such as "2027-06-30"`)
		}
	}
	between(k, "plan.retention_days", p.RetentionDays, 0, 3650)
	for i, t := range p.Thresholds {
		if t < 1 || t > 1000 || i > 0 && t <= p.Thresholds[i-1] {
			k.add("plan.thresholds", "are not per cent in rising order", "write such as [80, 95, 100]")
			break
		}
	}
	if p.Carrier != "" && !plmnPattern.MatchString(p.Carrier) {
		k.add("plan.carrier", fmt.Sprintf("%q is not an operator", p.Carrier), `write MCC-MNC, such as "460-00"`)
	}
	if p.OnExhaust != "" && p.QuotaBytes == 0 {
		k.add("plan.on_exhaust", "says what happens at a quota, but there is none", "set quota_bytes too", "plan.quota_bytes")
	}
	if protocol.Is(p.WhitelistOnly) && len(c.Uplink.Brokers) == 0 && len(c.Probes.Own) == 0 {
		k.add("plan.whitelist_only", "leaves nothing to test the line with", "name a host on the whitelist in probes.own or uplink.brokers", "probes.own", "uplink.brokers")
	}
}

func (k *checker) uplink(u Uplink) {
	anyTLS := false
	for _, b := range u.Brokers {
		// The text itself is not shown: it may hold a password.
		parsed, err := url.Parse(b)
		switch {
		case !strings.Contains(b, "://"):
			k.add("uplink.brokers", "a broker has no scheme", `write such as "mqtts://broker.example.com:8883"`)
			continue
		case err != nil || !isHost(parsed.Hostname()) || !isPort(parsed.Port(), true):
			k.add("uplink.brokers", "a broker is not a URL of a host", `write such as "mqtts://broker.example.com:8883"`)
			continue
		case parsed.User != nil:
			k.add("uplink.brokers", "a broker's URL holds a user or password", "move them to username and password_file")
		case strings.Trim(parsed.Path, "/") != "" || parsed.RawQuery != "":
			k.add("uplink.brokers", "a broker's URL goes on after the host", "end it with the port")
		}
		overTLS, known := brokerSchemes[parsed.Scheme]
		if !known {
			k.add("uplink.brokers", fmt.Sprintf("%q is not a scheme for a broker", parsed.Scheme), "write mqtts:// or, without TLS, mqtt://")
		}
		anyTLS = anyTLS || overTLS
	}
	if u.ClientID != "" && (len(u.ClientID) > 128 || strings.ContainsFunc(u.ClientID, func(r rune) bool { return r < 0x21 || r > 0x7e })) {
		k.add("uplink.client_id", "is longer than 128 or has spaces or non-ASCII characters", "leave it out to use the device id")
	}
	if u.Password != "" && u.PasswordFile != "" {
		k.add("uplink.password", "is given twice", "keep one of password and password_file")
	}
	if (u.Password != "" || u.PasswordFile != "") && u.Username == "" {
		k.add("uplink.username", "is missing beside the password", "set username; MQTT 3.1.1 has no password alone", "uplink.username")
	}
	k.absolute("uplink.password_file", u.PasswordFile)
	k.absolute("uplink.ca_file", u.CAFile)
	k.absolute("uplink.cert_file", u.CertFile)
	if handle, ok := u.TPMHandle(); !ok {
		k.absolute("uplink.key_file", u.KeyFile)
	} else if handle == 0 {
		k.add("uplink.key_file", fmt.Sprintf("%q names no key that stays in a TPM", u.KeyFile), `write its persistent handle, such as "tpm:0x81000001"`)
	}
	if u.CertFile != "" && u.KeyFile == "" {
		k.add("uplink.cert_file", "has no key beside it", "set key_file too", "uplink.key_file")
	}
	if u.KeyFile != "" && u.CertFile == "" {
		k.add("uplink.key_file", "has no certificate beside it", "set cert_file too", "uplink.cert_file")
	}
	if u.ServerName != "" && !isHost(u.ServerName) {
		k.add("uplink.server_name", fmt.Sprintf("%q is not a host name", u.ServerName), "write the name in the broker's certificate")
	}
	for _, pin := range u.PinSHA256 {
		if b, err := base64.StdEncoding.DecodeString(pin); err != nil || len(b) != sha256.Size {
			k.add("uplink.pin_sha256", "is not the base64 of a SHA-256", "take the SHA-256 of the broker's public key (SubjectPublicKeyInfo, DER), base64, 44 characters")
		}
	}
	if len(u.Brokers) > 0 && !anyTLS {
		for _, o := range []struct {
			key string
			set bool
		}{
			{"uplink.ca_file", u.CAFile != ""}, {"uplink.cert_file", u.CertFile != ""},
			{"uplink.server_name", u.ServerName != ""}, {"uplink.pin_sha256", len(u.PinSHA256) > 0},
		} {
			if o.set {
				k.add(o.key, "has no effect, because no broker is reached over TLS", "write mqtts:// in brokers", "uplink.brokers")
			}
		}
	}
	if u.TopicPrefix == "" || len(u.TopicPrefix) > 64 || strings.ContainsAny(u.TopicPrefix, "+#$ \t\x00") ||
		strings.HasPrefix(u.TopicPrefix, "/") || strings.HasSuffix(u.TopicPrefix, "/") {
		k.add("uplink.topic_prefix", fmt.Sprintf("%q cannot begin a topic", u.TopicPrefix), `write a short word, such as "cw"; no + # $ or spaces, no / at its ends`)
	}
	// MQTT's keepalive is 16 bits of seconds; below half a minute it eats the plan.
	k.between("uplink.keepalive", u.KeepAlive, 30*time.Second, 18*time.Hour)
	if !isInterface(u.Interface) {
		k.add("uplink.interface", fmt.Sprintf("%q is not an interface", u.Interface), `write "any", "data" or a name such as "eth0"`)
	}
	between(k, "uplink.window", u.Window, 1, 64)
	for _, name := range u.Commands {
		k.oneOf("uplink.commands", name, CommandNames...)
	}
	for _, key := range u.CommandKeys {
		if b, err := base64.StdEncoding.DecodeString(key); err != nil || len(b) != ed25519.PublicKeySize {
			k.add("uplink.command_keys", "is not an Ed25519 public key", "write its 32 bytes in base64, 44 characters")
		}
	}
	for _, name := range []string{"config", "time"} {
		if slices.Contains(u.Commands, name) && len(u.CommandKeys) == 0 {
			k.add("uplink.commands", fmt.Sprintf("%q lets a broker change this device, and no key signs it", name), "set command_keys, or take "+name+" out", "uplink.command_keys")
		}
	}
	k.between("uplink.report_every", u.ReportEvery, time.Minute, 7*24*time.Hour)
	if u.DailyBudgetBytes != 0 {
		between(k, "uplink.daily_budget_bytes", u.DailyBudgetBytes, 5_000, 1<<40)
	}
	if !slices.Contains([]string{"clear", "hashed", "none"}, u.Identities) {
		k.add("uplink.identities", fmt.Sprintf("%q is not known", u.Identities), `write "clear", "hashed" or "none"`)
	}
}

func (k *checker) probes(c Config) {
	p := c.Probes
	var nets []netip.Prefix
	for _, h := range p.ThirdParty {
		a, err := netip.ParseAddrPort(h)
		if err != nil || a.Port() == 0 {
			k.add("probes.third_party", fmt.Sprintf("%q is not an address with a port", h), `write such as "223.5.5.5:443": a literal address, so that a dead DNS does not hide a living line`)
			continue
		}
		bits := 16 // two owners hardly ever share a /16, or a /32 of IPv6
		if a.Addr().Is6() {
			bits = 32
		}
		network, err := a.Addr().Prefix(bits)
		if err == nil && slices.Contains(nets, network) {
			k.add("probes.third_party", "two of them are in "+network.String(), "name hosts of different owners, so that one's outage is not taken for ours")
		}
		nets = append(nets, network)
	}
	if len(p.ThirdParty) == 1 {
		k.add("probes.third_party", "one host alone proves nothing when it is silent", "name two of different owners, or none")
	}
	if p.HTTPURL != "" {
		u, err := url.Parse(p.HTTPURL)
		if err != nil || u.Scheme != "http" || !isHost(u.Hostname()) || !isPort(u.Port(), true) || u.User != nil {
			k.add("probes.http_url", "is not a plain http:// page", "write a page that answers 204, over http, since a portal cannot redirect https")
		}
	}
	for _, h := range p.Own {
		if !isHostPort(h) {
			k.add("probes.own", fmt.Sprintf("%q is not host:port", h), `write such as "api.example.com:443"`)
		}
	}
	for _, s := range p.DNS {
		if _, err := parseDNS(s); err != nil {
			k.add("probes.dns", fmt.Sprintf("%q is not an address", s), `write such as "223.5.5.5" or "223.5.5.5:53"`)
		}
	}
	for _, h := range p.NTP {
		if !isHost(h) && !isHostPort(h) {
			k.add("probes.ntp", fmt.Sprintf("%q is not a host", h), `write such as "ntp.aliyun.com"`)
		}
	}
	between(k, "probes.daily_budget_bytes", p.DailyBudgetBytes, 0, 1<<40)
	k.between("probes.interval", p.Interval, time.Minute, 7*24*time.Hour)
}

func (k *checker) store(s Store) {
	if s.Dir == "" || !path.IsAbs(s.Dir) {
		k.add("store.dir", fmt.Sprintf("%q is not an absolute path", s.Dir), "begin it with /")
	}
	between(k, "store.outbox_bytes", s.OutboxBytes, 1<<20, 1<<40)
	k.between("store.commit_every", s.CommitEvery, 100*time.Millisecond, time.Minute)
	between(k, "store.meter_flush_bytes", s.MeterFlushBytes, 4<<10, 1<<30)
}

func (k *checker) api(a API) {
	// The kernel's limit for a socket path is 107 bytes.
	if a.Socket != "" && (!path.IsAbs(a.Socket) || len(a.Socket) > 107) {
		k.add("api.socket", "is not an absolute path of at most 107 bytes", `write such as "/run/cellwarden/api.sock", or "" for none`)
	}
	for _, n := range a.Names {
		if n == "" || strings.ContainsAny(n, " /:*@") {
			k.add("api.names", fmt.Sprintf("%q is not a host name", n), `write such as "vm17.local", without port`)
		}
	}
	k.absolute("api.tls_cert", a.TLSCert)
	k.absolute("api.tls_key", a.TLSKey)
	if (a.TLSCert == "") != (a.TLSKey == "") {
		k.add("api.tls_cert", "and api.tls_key go together", "set both, or neither")
	}
	if a.HTTP == "" {
		return
	}
	addr, err := netip.ParseAddrPort(a.HTTP)
	switch {
	case err != nil || addr.Port() == 0:
		k.add("api.http", fmt.Sprintf("%q is not an address with a port", a.HTTP), `write such as "127.0.0.1:8788", or "" for none`)
	case addr.Addr().IsUnspecified():
		k.add("api.http", fmt.Sprintf("%q would also listen on the mobile network", a.HTTP), "name one local address, such as 127.0.0.1:8788")
	}
}

func (k *checker) diag(d Diag) {
	k.absolute("diag.weights_file", d.WeightsFile)
	classes := make([]string, 0, len(diag.Classes))
	for _, c := range diag.Classes {
		classes = append(classes, string(c))
	}
	names := make([]string, 0, len(d.Hold))
	for name := range d.Hold {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if !slices.Contains(classes, name) {
			cure := "write a class such as sim_absent"
			if near := nearest(name, classes); near != "" {
				cure = "did you mean " + near + "?"
			}
			k.add("diag.hold."+name, "unknown class", cure)
			continue
		}
		k.between("diag.hold."+name, d.Hold[name], 0, 24*time.Hour)
	}
}

// DNSServers are the configured servers with their ports.
func (p Probes) DNSServers() []netip.AddrPort {
	servers := make([]netip.AddrPort, 0, len(p.DNS))
	for _, s := range p.DNS {
		if a, err := parseDNS(s); err == nil {
			servers = append(servers, a)
		}
	}
	return servers
}

// dnsPort is where a DNS server listens when nothing else is said.
const dnsPort = 53

func parseDNS(s string) (netip.AddrPort, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.AddrPortFrom(a, dnsPort), nil
	}
	return netip.ParseAddrPort(s)
}

func isHost(s string) bool {
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}
	if len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if !labelPattern.MatchString(label) {
			return false
		}
	}
	return true
}

func isPort(s string, optional bool) bool {
	if s == "" {
		return optional
	}
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}

func isHostPort(s string) bool {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return false
	}
	host := s[:i]
	if inner, ok := strings.CutPrefix(host, "["); ok {
		host = strings.TrimSuffix(inner, "]")
	} else if strings.Contains(host, ":") {
		return false
	}
	return isHost(host) && isPort(s[i+1:], false)
}

// isInterface keeps to the kernel's rule for names: 15 bytes, no slash or space.
func isInterface(s string) bool {
	return s != "" && len(s) <= 15 && !strings.ContainsAny(s, "/ \t*:")
}

func joinInts(ns []int) string {
	texts := make([]string, len(ns))
	for i, n := range ns {
		texts[i] = strconv.Itoa(n)
	}
	return strings.Join(texts, ", ")
}

// CheckFiles looks whether the files that c names can be read, and whether
// the secret ones are kept from other users. It is for cellwarden config check:
// the running agent reads each file when it needs it, and lives on without.
func CheckFiles(c Config) []Problem {
	k := &checker{}
	for _, f := range []struct {
		key, path string
		secret    bool
	}{
		{"uplink.password_file", c.Uplink.PasswordFile, true},
		{"uplink.ca_file", c.Uplink.CAFile, false},
		{"uplink.cert_file", c.Uplink.CertFile, false},
		{"uplink.key_file", c.Uplink.KeyFile, true},
		{"diag.weights_file", c.Diag.WeightsFile, false},
		{"carrier.file", c.Carrier.File, false},
	} {
		if f.path == "" || strings.HasPrefix(f.path, tpmPrefix) {
			continue
		}
		file, err := os.Open(f.path)
		if err != nil {
			k.add(f.key, f.path+" "+reason(err), "put the file there, or correct the path")
			continue
		}
		info, err := file.Stat()
		file.Close()
		switch {
		case err != nil:
			k.add(f.key, f.path+" "+reason(err), "put the file there, or correct the path")
		case info.IsDir():
			k.add(f.key, f.path+" is a directory", "name the file in it")
		case f.secret && info.Mode().Perm()&0o007 != 0:
			k.add(f.key, f.path+" is open to every user", "run: chmod 640 "+f.path)
		}
	}
	return k.problems
}
