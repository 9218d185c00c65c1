package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// floodGrowth is what a flood may leave in memory: the flight recorder and the ring of
// observations fill up, which they have room for (0.4 MB), and the collector's slack.
const floodGrowth = 8 << 20

// heardOfFlood is far more than a modem that is well says.
const heardOfFlood = 500

// A modem, or what calls itself one, that talks without end: thirty thousand lines in
// ten seconds, no two alike, known ones with nonsense in them and unknown ones. The
// agent answers meanwhile, and its memory is bounded.
func TestModemThatTalksWithoutEnd(t *testing.T) {
	t.Parallel()
	var script strings.Builder
	for i := range 30_000 {
		line := []string{
			fmt.Sprintf("+X%d: %d", i, i),
			fmt.Sprintf(`+CEREG: 5,"%04X","%08X",7`, i&0xffff, i*7919),
			fmt.Sprintf(`+CUSD: 0,"%06d",15`, i),
			fmt.Sprintf(`+CMTI: "SM",%d`, i%50),
			fmt.Sprintf(`+CGEV: NW DEACT "IP","10.0.%d.%d",%d`, i>>8&255, i&255, i%900),
			fmt.Sprintf("^J%d,%s", i, strings.Repeat("z", 200)),
		}[i%6]
		fmt.Fprintf(&script, "%dms urc %s\n", 3000+i/3, line)
	}
	file := filepath.Join(t.TempDir(), "flood.txtar")
	text := "A modem that talks without end.\n-- device --\nprofile quectel-ec2x\nmanufacturer Quectel\nmodel EC20F\nrevision EC20CEFAGR06A05M4G\ncarrier 460-00\n" +
		"-- modem --\nsim ready\nreg home\nsignal rsrp=-88 rsrq=-9 sinr=14\nsession active addr=10.63.118.204\n-- script --\n" + script.String()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	modem := newModem(t, "", file)
	m := newMachine(t, nil, plain(modem.port))
	m.start()
	before := m.memory("VmRSS")
	unparsed := uint64(0)
	// How many lines of it are heard is a matter of the machine: what comes too fast is
	// dropped by the terminal or by the queue, which is bounded.
	until(t, "the flood to be heard", patient, func() bool { unparsed = uint64(m.status().Modem.Unparsed); return unparsed > heardOfFlood })
	highest := m.memory("VmRSS")
	// It goes on; then the modem is as it was.
	until(t, "the modem to be understood", patient, func() bool {
		highest = max(highest, m.memory("VmRSS"))
		s := m.status()
		again := uint64(s.Modem.Unparsed)
		quiet := again == unparsed
		unparsed = again
		return quiet && s.Modem.State == "ok"
	})
	t.Logf("FIGURE flood: %d lines not understood; resident %.1f MB before, at most %.1f MB, %.1f MB after",
		unparsed, float64(before)/1e6, float64(highest)/1e6, float64(m.memory("VmRSS"))/1e6)
	if grown := highest - before; grown > floodGrowth {
		t.Errorf("grew by %d bytes, at most %d", grown, floodGrowth)
	}
	m.alive()
}
