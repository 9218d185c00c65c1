package e2e

import (
	"bytes"
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"cellwarden/agent/board/boardtest"
	"cellwarden/agent/diag"
)

// emulated are the builds that an emulator can run here, each on the weakest processor
// that it is for: an instruction above its level ends it at once.
var emulated = []struct {
	build   string
	under   []string
	machine elf.Machine
	nightly bool
}{
	{"armv7", []string{"qemu-arm", "-cpu", "cortex-a7"}, elf.EM_ARM, false},
	{"armv5", []string{"qemu-arm", "-cpu", "arm926"}, elf.EM_ARM, true},
	{"arm64", []string{"qemu-aarch64", "-cpu", "cortex-a53"}, elf.EM_AARCH64, true},
	{"mipsle", []string{"qemu-mipsel", "-cpu", "24KEc"}, elf.EM_MIPS, true},
}

// crossBuild makes a board's binary.
func crossBuild(t testing.TB, build string) string {
	t.Helper()
	dir := t.TempDir()
	bin := filepath.Join(dir, "cellwarden-"+build)
	// A binary over the limit fails the script after it is written; that is another
	// test's business.
	out, err := exec.Command("../../scripts/build.sh", "-o", dir, build).CombinedOutput()
	if _, stat := os.Stat(bin); stat != nil {
		t.Fatalf("build.sh %s: %v: %s", build, err, out)
	}
	return bin
}

func needEmulator(t testing.TB, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("SKIPPED, NOT PROVED: %s is missing (apt install qemu-user)", name)
	}
}

// The main job with the binaries of the boards: a modem on a pty, mosquitto, a data
// interface with the kernel's counters. The card is pulled, an event is accepted while
// nothing passes, the agent is killed and starts again, the card comes back: the
// backend has alert, clear and both events, and the meter what the kernel counted.
//
// ARMv7 runs always; the others with CELLWARDEN_TARGETS=1 (make test-targets). What
// qemu-user runs is the whole program against this machine's kernel; it is no proof of
// a board's own kernel, nor of its speed.
func TestMainJobOnEveryTarget(t *testing.T) {
	t.Parallel()
	for _, target := range emulated {
		t.Run(target.build, func(t *testing.T) {
			t.Parallel()
			if target.nightly && os.Getenv("CELLWARDEN_TARGETS") == "" {
				t.Skip("nightly: make test-targets runs it")
			}
			needEmulator(t, target.under[0])
			boardtest.Require(t)
			bin := crossBuild(t, target.build)
			f, err := elf.Open(bin)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if f.Machine != target.machine {
				t.Fatalf("the binary is for %v", f.Machine)
			}
			s := newStand(t, settings{lan: true, modem: `poll = "2s"`, more: testPace})
			s.agent.bin, s.agent.under = bin, target.under
			mainJob(s)
		})
	}
}

func mainJob(s *stand) {
	began := time.Now()
	s.agent.start()
	s.Logf("FIGURE healthy %s after the start", seconds(s.agent.says(diag.Healthy, patient)))
	s.agent.connected()
	until(s, "the modem known", patient, func() bool { return s.agent.status().Modem.Model != "" })
	wantStatus(s.T, s.agent, diag.Healthy, 0, "Quectel", "EC20F")

	onset := time.Now()
	s.modem.do("sim absent")
	s.swallow()
	s.agent.says(diag.SIMAbsent, patient)
	verdict := time.Since(onset)
	a, _ := s.backend.alert(diag.SIMAbsent, patient)
	s.Logf("FIGURE sim_absent: verdict %s, alert at the backend %s after the card was pulled", seconds(verdict), seconds(time.Since(onset)))
	wantAlert(s.T, a, "technician", diag.Confirmed, diag.Likely)

	s.broker.stop()
	if !s.agent.put("sale.while.cut.off") {
		s.Error("an event is refused while the broker is away")
	}
	s.agent.signal(syscall.SIGKILL)
	s.agent.start()
	if !s.agent.put("sale.after.the.kill") {
		s.Error("an event is refused after the restart")
	}
	s.broker.start()
	s.modem.do("sim ready")
	s.pass()
	s.backend.cleared(diag.SIMAbsent, patient)
	s.agent.says(diag.Healthy, patient)
	until(s, "both events at the backend", patient, func() bool { return len(s.backend.names()) >= 2 })
	if got := strings.Join(s.backend.names(), " "); got != "sale.while.cut.off sale.after.the.kill" {
		s.Errorf("events at the backend: %q", got)
	}

	kernel, counted := s.still()
	s.net.Exchange(30_000, 70_000)
	kernel2, counted2 := s.still()
	if counted2-counted != kernel2-kernel || counted2-counted < 100_000 {
		s.Errorf("the kernel counted %d bytes, the agent %d", kernel2-kernel, counted2-counted)
	}
	s.agent.stop()
	if log := s.agent.log.String(); strings.Contains(log, "level=ERROR") {
		s.Errorf("errors in the log:\n%s", log)
	}
	s.Logf("FIGURE main job: %s", seconds(time.Since(began)))
}

// A build above the processor's level cannot say so: the Go runtime itself uses the
// missing instructions before it looks. What refuses politely is what runs before it:
// the installer's and the updater's look at /proc/cpuinfo (firmware-targets, CPU.Runs),
// and `cellwarden target check` of a build that does run.
func TestTooHighABuildDiesAtOnce(t *testing.T) {
	t.Parallel()
	needEmulator(t, "qemu-arm")
	bin := crossBuild(t, "armv7")
	for _, cpu := range []string{"arm926", "arm1176"} {
		cmd := exec.Command("qemu-arm", "-cpu", cpu, bin, "version")
		cmd.Dir = t.TempDir() // for the emulator's core file
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		err := cmd.Run()
		if err == nil {
			t.Errorf("an ARMv7 build runs on %s: then nothing needs to refuse it", cpu)
		}
		t.Log(strings.TrimSpace(fmt.Sprintf("%s: %v: %s", cpu, err, out.String())))
	}
}

// The config says nothing of modem and state: board.toml beside it does, and the agent
// takes both and says which board it is on. An update of the config wins at the next
// start.
func TestBoardFileIsUsed(t *testing.T) {
	t.Parallel()
	modem := newModem(t, "healthy-quectel")
	m := newMachine(t, nil, plain("auto"))
	text, err := os.ReadFile(m.config)
	if err != nil {
		t.Fatal(err)
	}
	silent, _, found := strings.Cut(string(text), "\n[store]\n")
	if !found {
		t.Fatalf("the config is not as this test knows it:\n%s", text)
	}
	state := filepath.Join(m.dir, "of the board")
	board := fmt.Sprintf("name = \"kiosk2\"\ntitle = \"a kiosk\"\nbuild = [\"amd64\"]\n[detect]\nmodel = [\"nothing\"]\n[paths]\nstate = %q\n[modem]\nuart = %q\nbaud = 115200\nprofile = \"quectel-ec2x\"\n", state, modem.port)
	for name, text := range map[string]string{m.config: silent, filepath.Join(filepath.Dir(m.config), "board.toml"): board} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m.start()
	until(t, "the modem known", patient, func() bool { return m.status().Modem.Model == "EC20F" })
	if st := m.status(); st.Board != "kiosk2" || st.Modem.Port != modem.port || st.Modem.Profile != "quectel-ec2x" {
		t.Errorf("board %q, modem %+v", st.Board, st.Modem)
	}
	if _, err := os.Stat(filepath.Join(state, "outbox")); err != nil {
		t.Errorf("the state is not where the board has it: %v", err)
	}
	out, _, _ := m.run("status", "--all")
	hasAll(t, "status --all", out, "kiosk2")
	out, _, _ = m.run("config", "show", m.config)
	hasAll(t, "config show", out, "# board: kiosk2 ("+filepath.Join(m.dir, "board.toml")+")\n", fmt.Sprintf("port = %q", modem.port))
	m.stop()
	if err := os.WriteFile(m.config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	m.start()
	if _, err := os.Stat(filepath.Join(m.state, "outbox")); err != nil {
		t.Errorf("the config does not win: %v", err)
	}
}
