// Package packaging holds the tests of the packages: what each brings, that its
// scripts and units are sound, and that it can be installed, used, upgraded and
// removed in a root of its own. The heavy ones, whole Debian systems, are behind
// `make test-packages`.
package packaging

import (
	"bytes"
	"context"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"cellwarden/agent/config"
)

const root = "../.."

// need says aloud what is missing, and skips. With CELLWARDEN_PACKAGES set nothing
// may be missing.
func need(t *testing.T, why, pkg string, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			skip(t, "no "+p+" here, so not shown: "+why+" (Debian: apt-get install "+pkg+")")
		}
	}
}

func skip(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CELLWARDEN_PACKAGES") != "" {
		t.Fatal(why)
	}
	t.Skip("SKIPPED: " + why)
}

func asRoot(t *testing.T, why string) {
	t.Helper()
	if os.Getuid() != 0 {
		skip(t, "needs root, so not shown: "+why)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// scripts are all shell scripts of this folder.
func scripts(t *testing.T) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if b, err := os.ReadFile(name); err == nil && bytes.HasPrefix(b, []byte("#!/bin/sh")) {
			names = append(names, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(names) < 9 {
		t.Fatalf("only %v: the walk is broken", names)
	}
	return names
}

func TestScriptsAreSound(t *testing.T) {
	names := scripts(t)
	t.Run("busybox ash -n", func(t *testing.T) {
		need(t, "that BusyBox can read the scripts", "busybox-static", "busybox")
		for _, name := range names {
			run(t, "busybox", "ash", "-n", name)
		}
	})
	t.Run("shellcheck", func(t *testing.T) {
		need(t, "that the scripts are free of the usual traps", "shellcheck", "shellcheck")
		run(t, "shellcheck", append([]string{"-s", "sh"}, names...)...)
		run(t, "shellcheck", append([]string{"-s", "sh"}, glob(t, "testdata/*.sh")...)...)
	})
	for _, name := range names {
		if info, err := os.Stat(name); err != nil || info.Mode()&0o111 == 0 {
			t.Errorf("%s cannot be run: %v", name, err)
		}
	}
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil || len(names) == 0 {
		t.Fatalf("%s: %v, %v", pattern, names, err)
	}
	return names
}

// The unit is read without a complaint and shuts what can be shut. The bar is an
// exposure of 3.0; systemd's own services have from 2 to 9.
func TestUnit(t *testing.T) {
	need(t, "that systemd takes the unit", "systemd", "systemd-analyze")
	dir := t.TempDir()
	// verify looks for the program and its user's manual as well.
	unit := strings.ReplaceAll(read(t, "cellwarden.service"), "/usr/bin/cellwarden", "/bin/true")
	unit = regexp.MustCompile(`(?m)^Documentation=.*\n`).ReplaceAllString(unit, "")
	file := filepath.Join(dir, "cellwarden.service")
	if err := os.WriteFile(file, []byte(unit), 0o644); err != nil {
		t.Fatal(err)
	}
	if out := run(t, "systemd-analyze", "verify", "--man=no", file); strings.Contains(out, "cellwarden.service") {
		t.Errorf("systemd-analyze verify: %s", out)
	}
	out := run(t, "systemd-analyze", "security", "--no-pager", "--offline=true", "--threshold=30", file)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	t.Logf("%s", lines[len(lines)-1])

	// These are traps that a later reader might fall into; the unit says why.
	for _, line := range strings.Split(unit, "\n") {
		for _, bad := range []string{"ProtectClock=", "PrivateDevices=", "DevicePolicy=", "DeviceAllow=", "ProcSubset=", "PrivateNetwork=", "NoExecPaths=", "DynamicUser="} {
			if strings.HasPrefix(line, bad) {
				t.Errorf("%s: the agent cannot work with it", line)
			}
		}
	}
}

// The configs that packages bring are taken by the agent, and so is every example
// in them.
func TestPackagedConfigs(t *testing.T) {
	for _, name := range []string{"cellwarden.toml", "openwrt/cellwarden.toml", "android/cellwarden.toml"} {
		text := read(t, name)
		if _, err := config.Parse(name, []byte(text)); err != nil {
			t.Errorf("%v", err)
		}
		option := regexp.MustCompile(`(?m)^#([a-z_]+ = )`)
		if !option.MatchString(text) {
			t.Errorf("%s: no example was found", name)
		}
		if _, err := config.Parse(name, option.ReplaceAll([]byte(text), []byte("$1"))); err != nil {
			t.Errorf("with all examples: %v", err)
		}
	}
	c, err := config.Parse("openwrt", []byte(read(t, "openwrt/cellwarden.toml")))
	if err != nil {
		t.Fatal(err)
	}
	// On OpenWrt /var is in memory: the events would be gone after a power cut.
	if strings.HasPrefix(c.Store.Dir, "/var") || !strings.Contains(read(t, "openwrt/cellwarden.init"), "STATE="+c.Store.Dir+"\n") {
		t.Errorf("OpenWrt keeps its state in %s", c.Store.Dir)
	}
	if !strings.Contains(read(t, "openwrt/cellwarden.init"), "CONFIG="+config.DefaultPath+"\n") || !strings.Contains(read(t, "openwrt/keep"), filepath.Dir(config.DefaultPath)+"/*.toml\n") {
		t.Error("OpenWrt has its config elsewhere")
	}
	c, err = config.Parse("android", []byte(read(t, "android/cellwarden.toml")))
	if err != nil {
		t.Fatal(err)
	}
	rc := read(t, "android/cellwarden.rc")
	for _, dir := range []string{c.Store.Dir, filepath.Dir(c.API.Socket)} {
		if !strings.Contains(rc, "mkdir "+dir+" 0") {
			t.Errorf("cellwarden.rc does not make %s", dir)
		}
	}
}

// What goes into a package is named in one place, by its own path; each file is
// there, and what an administrator edits is marked so that it is never overwritten.
func TestPackageContents(t *testing.T) {
	for _, c := range []struct {
		name    string
		want    []string // destinations
		configs []string
	}{
		{"deb/nfpm.yaml", []string{"/usr/bin/cellwarden", "/lib/systemd/system/cellwarden.service", "/usr/share/doc/cellwarden/copyright",
			"/usr/share/doc/cellwarden/notices.gz", "/usr/share/doc/cellwarden/sbom.cdx.json.gz", "/usr/share/man/man1/cellwarden.1.gz"},
			[]string{"/etc/cellwarden/cellwarden.toml", "/etc/default/cellwarden", "/etc/init.d/cellwarden"}},
		{"openwrt/nfpm.yaml", []string{"/usr/bin/cellwarden", "/etc/init.d/cellwarden", "/etc/hotplug.d/tty/90-cellwarden", "/lib/upgrade/keep.d/cellwarden",
			"/usr/share/doc/cellwarden/notices.gz", "/usr/share/doc/cellwarden/sbom.cdx.json.gz"},
			[]string{"/etc/cellwarden/cellwarden.toml"}},
	} {
		text := read(t, c.name)
		var configs []string
		for _, entry := range strings.Split(text, "  - src: ")[1:] {
			src, rest, _ := strings.Cut(entry, "\n")
			if !strings.HasPrefix(src, "${") {
				if _, err := os.Stat(filepath.Join(root, src)); err != nil {
					t.Errorf("%s: %v", c.name, err)
				}
			}
			dst := strings.Fields(rest)[1]
			if strings.Contains(rest, "type: config") {
				configs = append(configs, dst)
			}
			if strings.HasPrefix(dst, "/usr") || strings.HasPrefix(dst, "/lib") {
				if strings.Contains(rest, "type: config") {
					t.Errorf("%s: %s is no config", c.name, dst)
				}
			}
		}
		for _, dst := range append(c.want, c.configs...) {
			if !strings.Contains(text, "dst: "+dst+"\n") {
				t.Errorf("%s: nothing goes to %s", c.name, dst)
			}
		}
		if !slices.Equal(configs, c.configs) {
			t.Errorf("%s: configs are %v, want %v", c.name, configs, c.configs)
		}
		for _, m := range regexp.MustCompile(`(?m)^  p[a-z]+: (.*)$`).FindAllStringSubmatch(text[strings.Index(text, "\nscripts:"):], -1) {
			if _, err := os.Stat(filepath.Join(root, m[1])); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		}
	}
}

// The manual has every verb of the program, and no other.
func TestManual(t *testing.T) {
	page := read(t, "cellwarden.1")
	help := run(t, program(t), "help")
	verbs := regexp.MustCompile(`(?m)^  ([a-z]+) +\S`).FindAllStringSubmatch(help, -1)
	if len(verbs) < 10 {
		t.Fatalf("found only %v in %q", verbs, help)
	}
	for _, v := range verbs {
		if !regexp.MustCompile(`(?m)^\.B ` + v[1] + `( |$)`).MatchString(page) {
			t.Errorf("the manual does not have the verb %s", v[1])
		}
	}
	inPage := regexp.MustCompile(`(?m)^\.TP\n\.B ([a-z]+)( |$)`).FindAllStringSubmatch(page[strings.Index(page, ".SH VERBS"):strings.Index(page, ".SH OPTIONS")], -1)
	for _, v := range inPage {
		if !strings.Contains(help, "\n  "+v[1]+" ") {
			t.Errorf("the manual has the verb %s, the program has not", v[1])
		}
	}
	if _, err := exec.LookPath("man"); err == nil {
		cmd := exec.Command("man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", "cellwarden.1")
		cmd.Env = append(os.Environ(), "MANROFFSEQ=", "LC_ALL=C.UTF-8")
		var said bytes.Buffer
		cmd.Stderr = &said
		if err := cmd.Run(); err != nil || said.Len() > 0 {
			t.Errorf("man: %v: %s", err, said.String())
		}
	}
}

// program is the agent for this machine.
func program(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "cellwarden")
	build(t, bin, "./agent/cmd/cellwarden")
	return bin
}

func build(t *testing.T, bin, pkg string, flags ...string) {
	t.Helper()
	cmd := exec.Command("go", append(append([]string{"build", "-trimpath", "-o", bin}, flags...), pkg)...)
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build %s: %v: %s", pkg, err, out)
	}
}

// packages makes packages of one kind for this machine in two versions and returns
// their files, old and new.
func packages(t *testing.T, kind, target string) (v1, v2 string) {
	t.Helper()
	var files []string
	for _, version := range []string{"v1.0.0", "v2.0.0"} {
		dir := t.TempDir()
		cmd := exec.Command(root+"/scripts/package.sh", "-o", dir, "-t", target, kind)
		cmd.Env = append(os.Environ(), "VERSION="+version, "SOURCE_DATE_EPOCH=1790000000")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("package.sh: %v: %s", err, out)
		}
		all := glob(t, filepath.Join(dir, "cellwarden*"))
		files = append(files, all[0])
	}
	return files[0], files[1]
}

// inRoot runs a script of testdata in dir as its root, with processes, mounts and
// a network of its own: when it ends, all that it started ends.
func inRoot(t *testing.T, dir, shell, script string) {
	t.Helper()
	for _, name := range []string{"lib.sh", script} {
		install(t, filepath.Join("testdata", name), filepath.Join(dir, "test", name), 0o644)
	}
	// The shell that waits is the new root's process 1, and buries the orphans.
	const prepare = `
		mount --make-rprivate /
		mount --bind "$1" "$1" # a mount of its own, as a root is: df looks for it
		cd "$1"
		mkdir -p proc sys dev run tmp
		mount -t proc proc proc
		mount -t sysfs sysfs sys
		mount -t tmpfs -o mode=755 tmpfs run
		mount -t tmpfs -o mode=755 tmpfs dev
		for n in null:3 zero:5 urandom:9 random:8; do mknod -m 666 dev/${n%:*} c 1 ${n#*:}; done
		mknod -m 666 dev/tty c 5 0
		mkdir dev/pts
		mount -t devpts -o newinstance,ptmxmode=666,gid=5 devpts dev/pts
		ln -s pts/ptmx dev/ptmx
		ip link set lo up 2>/dev/null || true
		chroot . $2 /test/$3 &
		wait $!`
	ctx, cancel := context.WithTimeout(context.Background(), rootPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-ec", prepare, "sh", dir, shell, script)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "all steps passed") {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "step: ") {
			t.Log(strings.TrimSpace(line))
		}
	}
}

// rootPatience bounds one play in a root: minutes under an emulator on a busy machine.
const rootPatience = 10 * time.Minute

func install(t *testing.T, from, to string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, []byte(read(t, from)), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(to, mode); err != nil {
		t.Fatal(err)
	}
}

// The installer for boards without a package manager, in a root that has nothing
// but BusyBox.
func TestBusyBoxRoot(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED in -short: builds packages")
	}
	const why = "that the BusyBox installer works with nothing but BusyBox"
	asRoot(t, why)
	need(t, why, "busybox-static mount", "busybox", "mount")
	if runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		skip(t, "no target for "+runtime.GOARCH)
	}
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Fatal(err)
	}
	if out, _ := exec.Command("ldd", busybox).CombinedOutput(); strings.Contains(string(out), "=>") {
		skip(t, "busybox needs libraries, so not shown: "+why+" (Debian: apt-get install busybox-static)")
	}
	dir := t.TempDir()
	install(t, busybox, filepath.Join(dir, "bin/busybox"), 0o755)
	for _, d := range []string{"sbin", "usr/bin", "usr/sbin", "etc/init.d", "root", "proc"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	run(t, "chroot", dir, "/bin/busybox", "--install", "-s", "/bin")
	for name, text := range map[string]string{
		"etc/passwd":      "root:x:0:0:root:/root:/bin/sh\n",
		"etc/group":       "root:x:0:\ntty:x:5:\ndialout:x:20:machine\n",
		"etc/shadow":      "root:*:1:0:99999:7:::\n",
		"etc/init.d/rcS":  "#!/bin/sh\nfor i in /etc/init.d/S??*; do $i start; done\n",
		"etc/nothing.txt": "a file that is nobody's business\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	build(t, filepath.Join(dir, "modemsim"), "./modem/cmd/modemsim")
	v1, v2 := packages(t, "tar", runtime.GOARCH)
	for name, archive := range map[string]string{"v1": v1, "v2": v2} {
		to := filepath.Join(dir, name)
		if err := os.Mkdir(to, 0o755); err != nil {
			t.Fatal(err)
		}
		run(t, "tar", "-xzf", archive, "-C", to, "--strip-components=1")
	}
	inRoot(t, dir, "/bin/sh", "busybox.sh")
}

// The service for OpenWrt, with a stub for procd that writes down what it was told.
func TestProcd(t *testing.T) {
	need(t, "what procd is told", "busybox-static", "busybox")
	dir := t.TempDir()
	// What rc.common brings, and commands that only say that they were called.
	const stub = `
		procd_open_instance() { echo "open $*"; }
		procd_set_param() { echo "param $*"; }
		procd_close_instance() { echo close; }
		for f in mkdir chmod chown ln sh; do eval "$f() { echo \"$f \$*\"; }"; done
		. ./openwrt/cellwarden.init
		echo "START=$START STOP=$STOP USE_PROCD=$USE_PROCD"
		start_service`
	out, err := exec.Command("busybox", "ash", "-c", stub).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, want := range []string{
		"START=95 STOP=10 USE_PROCD=1",
		"mkdir -p /var/run/cellwarden /etc/cellwarden/state",
		"chmod 700 /etc/cellwarden/state",
		"chown cellwarden:cellwarden /var/run/cellwarden /etc/cellwarden/state",
		"chmod 640 /etc/cellwarden/cellwarden.toml",
		"open ",
		"param command /usr/bin/cellwarden run --config /etc/cellwarden/cellwarden.toml",
		"param user cellwarden",
		"param respawn 60 10 0",
		"param stdout 1",
		"param stderr 1",
		"param file /etc/cellwarden/cellwarden.toml",
		"close",
	} {
		if !slices.Contains(strings.Split(string(out), "\n"), want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if strings.Count(string(out), "\nopen ") != 1 || strings.Count(string(out), "\nclose") != 1 {
		t.Errorf("not one instance:\n%s", out)
	}

	// The hotplug script: USB ports become dialout's, nothing else is touched.
	for _, c := range []struct{ action, dev, want string }{
		{"add", "ttyUSB2", "chgrp dialout /dev/ttyUSB2\nchmod 660 /dev/ttyUSB2\n"},
		{"add", "ttyACM0", "chgrp dialout /dev/ttyACM0\nchmod 660 /dev/ttyACM0\n"},
		{"remove", "ttyUSB2", ""},
		{"add", "ttyS1", ""},
	} {
		cmd := exec.Command("busybox", "ash", "-c", `for f in chmod chgrp; do eval "$f() { echo \"$f \$*\"; }"; done; . ./openwrt/cellwarden.hotplug`)
		cmd.Env = []string{"ACTION=" + c.action, "DEVNAME=" + c.dev}
		if out, err := cmd.CombinedOutput(); err != nil || string(out) != c.want {
			t.Errorf("%s %s: %v, %q; want %q", c.action, c.dev, err, out, c.want)
		}
	}

	// postinst and prerm, with OpenWrt's functions as stubs.
	functions := filepath.Join(dir, "lib/functions.sh")
	if err := os.MkdirAll(filepath.Dir(functions), 0o755); err != nil {
		t.Fatal(err)
	}
	var stubs strings.Builder
	for _, f := range []string{"group_add_next", "add_group_and_user", "group_add_user", "default_postinst", "default_prerm"} {
		stubs.WriteString(f + "() { echo \"" + f + " $*\" >&2; }\n")
	}
	if err := os.WriteFile(functions, []byte(stubs.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	for script, want := range map[string]string{
		"openwrt/postinst": "group_add_next dialout\nadd_group_and_user cellwarden\ngroup_add_user dialout cellwarden\ndefault_postinst openwrt/postinst configure\n",
		"openwrt/prerm":    "default_prerm openwrt/prerm configure\n",
	} {
		cmd := exec.Command("busybox", "ash", script, "configure")
		cmd.Env = []string{"IPKG_INSTROOT=" + dir}
		if out, err := cmd.CombinedOutput(); err != nil || string(out) != want {
			t.Errorf("%s: %v, %q; want %q", script, err, out, want)
		}
	}
}

// The push script against an adb that plays a board: which file goes where, and
// what is never overwritten.
func TestAndroidPush(t *testing.T) {
	need(t, "that the push script does what it says", "busybox-static", "busybox")
	for _, c := range []struct {
		name, abi, there string // there: files of the board, by their paths
		args             []string
		want, never      []string
		fails            string
	}{
		{"a first installation", "arm64-v8a", "/vendor/etc/init /system/bin/logwrapper", []string{"install"},
			[]string{"push cellwarden-arm64 /vendor/bin/cellwarden.new", "push rc /vendor/etc/init/cellwarden.rc", "push cellwarden.toml /data/cellwarden/cellwarden.toml",
				"service cellwarden /system/bin/logwrapper /vendor/bin/cellwarden run"}, []string{"@"}, ""},
		{"a later one keeps the config", "arm64-v8a", "/vendor/etc/init /data/cellwarden/cellwarden.toml", []string{"install"},
			[]string{"push cellwarden-arm64 ", "service cellwarden /vendor/bin/cellwarden run"}, []string{"push cellwarden.toml"}, ""},
		{"a 32-bit board before Android 8, with a label", "armeabi-v7a", "/system/etc/init", []string{"-l", "u:r:cellwarden:s0", "install"},
			[]string{"push cellwarden-armv7 /system/bin/cellwarden.new", "push rc /system/etc/init/cellwarden.rc", "    seclabel u:r:cellwarden:s0"}, nil, ""},
		{"a CPU without a build", "mips", "/vendor/etc/init", []string{"install"}, nil, []string{"push "}, "no binary for mips"},
		{"a program that the board cannot run", "arm64-v8a", "/vendor/etc/init broken", []string{"install"}, nil, []string{"mv /vendor", "push rc"}, "cannot run"},
		{"remove keeps", "arm64-v8a", "/vendor/etc/init", []string{"remove"}, []string{"rm -f /vendor/bin/cellwarden "}, []string{"rm -rf"}, ""},
		{"purge does not", "arm64-v8a", "/vendor/etc/init", []string{"purge"}, []string{"rm -f /vendor/bin/cellwarden ", "rm -rf /data/cellwarden"}, nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			for _, name := range []string{"push.sh", "cellwarden.rc", "cellwarden.toml"} {
				install(t, "android/"+name, filepath.Join(dir, name), 0o755)
			}
			for _, name := range []string{"cellwarden-arm64", "cellwarden-armv7"} {
				if err := os.WriteFile(filepath.Join(dir, name), nil, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			install(t, "testdata/adb", filepath.Join(dir, "bin/adb"), 0o755)
			log := filepath.Join(dir, "log")
			cmd := exec.Command("busybox", append([]string{"ash", filepath.Join(dir, "push.sh")}, c.args...)...)
			cmd.Env = []string{"PATH=" + filepath.Join(dir, "bin") + ":" + os.Getenv("PATH"), "BOARD_ABI=" + c.abi, "BOARD_HAS=" + c.there, "BOARD_LOG=" + log, "HERE=" + dir}
			out, err := cmd.CombinedOutput()
			if (err == nil) != (c.fails == "") || !strings.Contains(string(out), c.fails) {
				t.Errorf("%v, %q; want %q", err, out, c.fails)
			}
			did := read(t, log)
			for _, w := range c.want {
				if !strings.Contains(did, w) {
					t.Errorf("no %q in\n%s", w, did)
				}
			}
			for _, w := range c.never {
				if strings.Contains(did, w) {
					t.Errorf("%q in\n%s", w, did)
				}
			}
		})
	}
}

// The same source, version and time give the same archive; `make test-packages` also
// holds what nfpm writes, which may have to be fetched.
func TestReproducible(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED in -short: builds packages")
	}
	kinds := []string{"tar", "sbom"}
	if os.Getenv("CELLWARDEN_PACKAGES") != "" {
		kinds = append(kinds, "deb")
	}
	var sums []string
	for range 2 {
		dir := t.TempDir()
		cmd := exec.Command(root+"/scripts/package.sh", append([]string{"-o", dir, "-t", "amd64"}, kinds...)...)
		cmd.Env = append(os.Environ(), "VERSION=v1.2.3-4-gabcdef0", "SOURCE_DATE_EPOCH=1790000000", "TMPDIR="+t.TempDir())
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("package.sh: %v: %s", err, out)
		}
		sums = append(sums, read(t, filepath.Join(dir, "SHA256SUMS")))
		var bill struct {
			Metadata struct{ Component struct{ Version string } }
		}
		if err := json.Unmarshal([]byte(read(t, filepath.Join(dir, "cellwarden-amd64.cdx.json"))), &bill); err != nil || bill.Metadata.Component.Version != "v1.2.3-4-gabcdef0" {
			t.Errorf("the bill is of %q: %v", bill.Metadata.Component.Version, err)
		}
	}
	if sums[0] != sums[1] {
		t.Errorf("two builds differ:\n%s\n%s", sums[0], sums[1])
	}
	if !strings.Contains(sums[0], "  cellwarden-1.2.3+4.gabcdef0-amd64.tar.gz\n") {
		t.Errorf("another name was expected:\n%s", sums[0])
	}
}
