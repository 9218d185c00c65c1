package boardtest

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// RunARM has the kernel run programs for 32-bit ARM under qemu-arm-static until the
// test ends, also those that such programs start. It needs root and Debian's package
// qemu-user-static; the error says what is missing.
func RunARM(t testing.TB) error {
	t.Helper()
	const dir = "/proc/sys/fs/binfmt_misc"
	qemu, err := exec.LookPath("qemu-arm-static")
	if err != nil {
		return err
	}
	if _, err := os.Stat(dir + "/register"); err != nil {
		if out, err := exec.Command("mount", "-t", "binfmt_misc", "binfmt_misc", dir).CombinedOutput(); err != nil {
			return fmt.Errorf("no binfmt_misc here: %s", out)
		}
		t.Cleanup(func() { _ = exec.Command("umount", dir).Run() })
	}
	if _, err := os.Stat(dir + "/qemu-arm"); err == nil {
		return nil
	}
	// ELF, 32 bits, little endian, a program for ARM. F opens the emulator now, so
	// that it need not be in a root of the test's.
	name := fmt.Sprintf("cellwarden-test-arm-%d", os.Getpid())
	rule := ":" + name + `:M::\x7fELF\x01\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x28\x00:\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:` + qemu + ":F"
	if err := os.WriteFile(dir+"/register", []byte(rule), 0o200); err != nil {
		return fmt.Errorf("binfmt_misc takes no rule: %w", err)
	}
	t.Cleanup(func() { _ = os.WriteFile(dir+"/"+name, []byte("-1"), 0o200) })
	return nil
}
