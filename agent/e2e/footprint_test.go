package e2e

import (
	"fmt"
	"testing"
	"time"

	"cellwarden/agent/diag"
)

// coldStartBudget is from exec to the first verdict, emulated.
const coldStartBudget = 30 * time.Second

// From nothing to the cause: the ARMv7 binary is started beside a modem whose card
// is absent, with the settings that it ships with.
func TestColdStartToFirstVerdict(t *testing.T) {
	t.Parallel()
	needEmulator(t, "qemu-arm")
	bin := crossBuild(t, "armv7")
	modem := newModem(t, "healthy-quectel")
	modem.do("sim absent")
	m := newMachine(t, nil, fmt.Sprintf("[device]\nid = %q\n[modem]\nport = %q\n[data]\ninterfaces = [\"wwan9\"]\n"+
		"[uplink]\nbrokers = [\"mqtt://127.0.0.1:9\"]\n", device, modem.port))
	m.bin, m.under = bin, []string{"qemu-arm", "-cpu", "cortex-a7"}
	began := time.Now()
	m.start()
	answers := time.Since(began)
	m.says(diag.SIMAbsent, patient)
	took := time.Since(began)
	t.Logf("FIGURE cold start on an emulated Cortex-A7: answers after %s, sim_absent after %s", seconds(answers), seconds(took))
	promised(t, "the first verdict", took, coldStartBudget)
}
