package board

import (
	"encoding/binary"
	"fmt"
	"os"
	"time"
	"unsafe"

	targets "cellwarden/firmware-targets"

	"golang.org/x/sys/unix"
)

// The kernel's line handles (linux/gpio.h, version 1 of the interface: since 4.8, and
// still there beside version 2). The numbers are the same on all our architectures:
// MIPS codes the direction otherwise, but "read and write" falls on the same bits.
const (
	getLineHandle = 0xc16cb403 // GPIO_GET_LINEHANDLE_IOCTL
	setLineValues = 0xc040b409 // GPIOHANDLE_SET_LINE_VALUES_IOCTL

	handleBytes    = 364 // struct gpiohandle_request
	handleFlags    = 256 // after 64 offsets of 4 bytes
	handleDefaults = 260
	handleConsumer = 324
	handleLines    = 356
	handleFD       = 360

	handleOutput    = 1 << 1
	handleActiveLow = 1 << 2
)

// lineRequest is a gpiohandle_request for one line, taken as an output and active at
// once.
func lineRequest(l targets.Line) [handleBytes]byte {
	var b [handleBytes]byte
	binary.NativeEndian.PutUint32(b[:], uint32(l.Line))
	flags := uint32(handleOutput)
	if l.ActiveLow {
		flags |= handleActiveLow
	}
	binary.NativeEndian.PutUint32(b[handleFlags:], flags)
	b[handleDefaults] = 1
	copy(b[handleConsumer:handleLines-1], "cellwarden")
	binary.NativeEndian.PutUint32(b[handleLines:], 1)
	return b
}

// pressDefault is how long a line is held where the file does not say: most modules'
// reset wants 150 to 460 ms.
const pressDefault = 300 * time.Millisecond

// Press makes a line active for its time and inactive again.
func Press(l targets.Line) error {
	fail := func(err error) error { return fmt.Errorf("board: /dev/%s line %d: %w", l.Chip, l.Line, err) }
	chip, err := os.OpenFile("/dev/"+l.Chip, os.O_RDWR, 0)
	if err != nil {
		return fail(err)
	}
	defer chip.Close()
	req := lineRequest(l)
	if err := ioctl(int(chip.Fd()), getLineHandle, unsafe.Pointer(&req)); err != nil {
		return fail(err)
	}
	fd := int(int32(binary.NativeEndian.Uint32(req[handleFD:])))
	defer unix.Close(fd)
	hold := time.Duration(l.Hold)
	if hold == 0 {
		hold = pressDefault
	}
	time.Sleep(hold)
	// A line that is only let go keeps its level on some chips.
	var released [64]byte
	if err := ioctl(fd, setLineValues, unsafe.Pointer(&released)); err != nil {
		return fail(err)
	}
	return nil
}

func ioctl(fd int, op uint, arg unsafe.Pointer) error {
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(op), uintptr(arg)); e != 0 {
		return e
	}
	return nil
}
