package packaging

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"cellwarden/agent/board/boardtest"
)

// heavy skips what takes minutes and the network, unless it is asked for.
func heavy(t *testing.T) {
	t.Helper()
	if os.Getenv("CELLWARDEN_PACKAGES") == "" {
		t.Skip("SKIPPED: takes minutes, root and the network: make test-packages")
	}
}

// suite is the Debian that the packages are tried in.
const suite = "bookworm"

// debian makes a Debian root of an architecture with the packages in it. pretend is
// an emulator of another CPU that is put into the root, "" for none.
func debian(t *testing.T, arch, target string, more ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "root")
	mirror := os.Getenv("CELLWARDEN_DEBIAN_MIRROR")
	if mirror == "" {
		mirror = "http://deb.debian.org/debian"
	}
	include := strings.Join(append([]string{"adduser", "procps", "init-system-helpers"}, more...), ",")
	t.Logf("debootstrap %s %s", arch, suite)
	run(t, "debootstrap", "--variant=minbase", "--arch="+arch, "--include="+include, suite, dir, mirror)
	// A changed config and nothing else: what a later release may bring.
	v1, v2 := packages(t, "deb", target)
	unpacked := t.TempDir()
	run(t, "dpkg-deb", "-R", v2, unpacked)
	conf := filepath.Join(unpacked, "etc/cellwarden/cellwarden.toml")
	if err := os.WriteFile(conf, []byte(read(t, conf)+"\n# a new option\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	control := filepath.Join(unpacked, "DEBIAN/control")
	if err := os.WriteFile(control, []byte(strings.Replace(read(t, control), "Version: 2.0.0", "Version: 3.0.0", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	run(t, "dpkg-deb", "--root-owner-group", "-b", unpacked, filepath.Join(dir, "v3.deb"))
	install(t, v1, filepath.Join(dir, "v1.deb"), 0o644)
	install(t, v2, filepath.Join(dir, "v2.deb"), 0o644)
	sim := exec.Command("go", "build", "-o", filepath.Join(dir, "modemsim"), "./modem/cmd/modemsim")
	sim.Dir, sim.Env = root, append(os.Environ(), goEnv[target]...)
	if out, err := sim.CombinedOutput(); err != nil {
		t.Fatalf("modemsim: %v: %s", err, out)
	}
	releases(t, dir, target)
	return dir
}

// goEnv is how the simulated modem is built for a target.
var goEnv = map[string][]string{
	"amd64": {"CGO_ENABLED=0", "GOARCH=amd64"},
	"armv7": {"CGO_ENABLED=0", "GOARCH=arm", "GOARM=7"},
}

// lintian finds no error in any of the four packages, and no warning.
func TestLintian(t *testing.T) {
	heavy(t)
	need(t, "that lintian finds nothing", "lintian", "lintian")
	dir := t.TempDir()
	run(t, root+"/scripts/package.sh", "-o", dir, "deb")
	debs := glob(t, filepath.Join(dir, "*.deb"))
	if len(debs) != 4 {
		t.Errorf("there are %v", debs)
	}
	out, err := exec.Command("lintian", append([]string{"--allow-root", "--fail-on=error,warning", "--tag-display-limit=0"}, debs...)...).CombinedOutput()
	if err != nil {
		t.Errorf("lintian: %v: %s", err, out)
	}
}

// The package without systemd, under the SysV script.
func TestDebianSysV(t *testing.T) {
	heavy(t)
	asRoot(t, "that the .deb works")
	need(t, "that the .deb works", "debootstrap", "debootstrap")
	sysv(t, debian(t, "amd64", "amd64"))
}

// sysv plays in a root without a running init: what is to be started may be.
func sysv(t *testing.T, dir string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "usr/sbin/policy-rc.d"), []byte("#!/bin/sh\nexit 0\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	inRoot(t, dir, "/bin/sh", "debian.sh")
}

// The same for armhf, every program of the root under an emulator.
func TestDebianArmhf(t *testing.T) {
	heavy(t)
	asRoot(t, "that the .deb works on armhf")
	need(t, "that the .deb works on armhf", "debootstrap qemu-user-static", "debootstrap", "qemu-arm-static")
	if err := boardtest.RunARM(t); err != nil {
		skip(t, err.Error())
	}
	sysv(t, debian(t, "armhf", "armv7"))
}

// The package with systemd, in a container that boots: the unit with all its
// restrictions is what runs.
func TestDebianSystemd(t *testing.T) {
	heavy(t)
	asRoot(t, "that the unit works under systemd")
	need(t, "that the unit works under systemd", "debootstrap systemd-container", "debootstrap", "systemd-nspawn")
	dir := debian(t, "amd64", "amd64", "systemd", "systemd-sysv", "dbus", "udev", "nftables", "iproute2", "iputils-ping")
	for _, name := range []string{"lib.sh", "debian.sh"} {
		install(t, filepath.Join("testdata", name), filepath.Join(dir, "test", name), 0o644)
	}
	const unit = `[Unit]
After=basic.target dbus.service
[Service]
Type=oneshot
ExecStart=/bin/sh /test/debian.sh
ExecStopPost=systemctl --no-block poweroff
StandardOutput=file:/test/said
StandardError=inherit
[Install]
WantedBy=multi-user.target
`
	if err := os.WriteFile(filepath.Join(dir, "etc/systemd/system/play.service"), []byte(unit), 0o644); err != nil {
		t.Fatal(err)
	}
	run(t, "chroot", dir, "systemctl", "enable", "play.service")
	// The container wants the unified hierarchy, and a group of its own in it.
	const boot = `
		mount --make-rprivate /
		if [ "$(stat -fc %T /sys/fs/cgroup)" != cgroup2fs ]; then
			umount -lR /sys/fs/cgroup
			mount -t cgroup2 cgroup2 /sys/fs/cgroup
		fi
		group=/sys/fs/cgroup/cellwarden-test-$$
		mkdir $group
		(sh -c 'echo $PPID' >$group/cgroup.procs
			exec systemd-nspawn --quiet --register=no --keep-unit --private-network --kill-signal=SIGRTMIN+3 -D "$1" -b --console=passive) || true
		find $group -depth -type d -exec rmdir {} \;`
	ctx, cancel := context.WithTimeout(context.Background(), rootPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-ec", boot, "sh", dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	said, _ := os.ReadFile(filepath.Join(dir, "test/said"))
	if !strings.Contains(string(said), "all steps passed") {
		t.Fatalf("systemd-nspawn: %v: %s\n%s", err, out, said)
	}
	for line := range strings.Lines(string(said)) {
		if strings.HasPrefix(line, "step: ") {
			t.Log(strings.TrimSpace(line))
		}
	}
}
