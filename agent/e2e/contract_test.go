package e2e

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"cellwarden/agent/diag"
	"cellwarden/protocol"
	"cellwarden/protocol/schema"

	check "github.com/santhosh-tekuri/jsonschema/v6"
)

// strict are the closed schemas, each compiled once.
var strict = struct {
	sync.Mutex
	of map[string]*check.Schema
}{of: map[string]*check.Schema{}}

// fits reports what is wrong with a message by its closed schema: an unknown field, a
// value that is not listed, a missing one.
func fits(name string, raw []byte) error {
	strict.Lock()
	defer strict.Unlock()
	s := strict.of[name]
	if s == nil {
		text, err := schema.Strict(name)
		if err != nil {
			return err
		}
		doc, err := check.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			return err
		}
		c := check.NewCompiler()
		if err := c.AddResource(name, doc); err != nil {
			return err
		}
		if s, err = c.Compile(name); err != nil {
			return err
		}
		strict.of[name] = s
	}
	doc, err := check.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	return s.Validate(doc)
}

// keepsTheContract holds all that the backend saw against the closed schemas, and says
// how many of each message came.
func (k *backend) keepsTheContract() map[string]int {
	k.t.Helper()
	came := map[string]int{}
	judge := func(name string, raw []byte) {
		came[name]++
		if err := fits(name, raw); err != nil {
			k.t.Errorf("a %s breaks the contract: %v\n%s", name, err, raw)
		}
	}
	for _, line := range strings.Split(k.out.String(), "\n") {
		topic, text, ok := strings.Cut(line, " ")
		payload, err := hex.DecodeString(text)
		if !ok || err != nil || !strings.HasPrefix(topic, protocol.DefaultPrefix+"/") || len(payload) == 0 {
			continue // what -d says, or a line that is still being written
		}
		items, err := protocol.DecodeItems(topic, payload)
		switch {
		case errors.Is(err, protocol.ErrNoEnvelope):
			switch topic[strings.LastIndexByte(topic, '/')+1:] {
			case string(protocol.LeafStatus):
				judge("status", payload)
			case string(protocol.LeafLast):
				judge("last", payload)
			}
		case err != nil:
			k.t.Errorf("%s: %v", topic, err)
		}
		for _, it := range items {
			judge(string(it.Envelope.Type), it.Raw)
		}
	}
	return came
}

// What the running agent really sends fits the contract to the letter; a fault has one
// id from its alert to its clear; and when the machine is gone the broker still has its
// status and its last words.
func TestWhatTheAgentSendsKeepsTheContract(t *testing.T) {
	t.Parallel()
	b := newBroker(t, nil, "127.0.0.1", "")
	k := newBackend(b)
	modem := newModem(t, "healthy-quectel")
	m := newMachine(t, nil, fmt.Sprintf("[device]\nid = \"contract\"\n[modem]\nport = %q\npoll = \"1s\"\n[data]\ninterfaces = [\"none0\"]\n[probes]\nthird_party = []\nhttp_url = \"\"\ndns = []\nntp = []\n[uplink]\nbrokers = [%q]\n%s", modem.port, b.url(), testPace))
	m.start()
	m.connected()
	until(t, "the inventory", patient, func() bool { return k.keepsTheContract()["inventory"] > 0 })
	modem.do("sim absent")
	a, _ := k.alert(diag.SIMAbsent, patient)
	if a.Incident == "" || a.Act == nil || a.Act.Code != "sim_absent" {
		t.Errorf("%+v", a)
	}
	m.put("sale")
	until(t, "the machine's own event", patient, func() bool { return k.keepsTheContract()["event"] > 0 })
	// The last words that stand name the fault.
	read := func(leaf string) string {
		out, err := exec.Command("mosquitto_sub", b.args("-C", "1", "-W", "2", "-t", "cw/contract/"+leaf)...).Output()
		if err != nil {
			return ""
		}
		return string(out)
	}
	until(t, "last words that name the fault", patient, func() bool { return strings.Contains(read("l"), a.Incident) })
	m.signal(syscall.SIGKILL)
	until(t, "the last will", patient, func() bool { return strings.Contains(read("w"), `"up":false,"boot":"`) })
	if l, err := protocol.DecodeLast([]byte(read("l"))); err != nil || l.Fault == nil || l.Fault.Class != "sim_absent" || l.Fault.Incident != a.Incident {
		t.Errorf("last words of a dead machine: %+v, %v", l, err)
	}
	came := k.keepsTheContract()
	for _, name := range []string{"alert", "event", "inventory", "last", "status"} {
		if came[name] == 0 {
			t.Errorf("no %s came: %v", name, came)
		}
	}
}
