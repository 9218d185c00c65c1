package targets

import (
	"fmt"
	"slices"
	"strings"
)

// CPU is what /proc/cpuinfo tells of a processor.
type CPU struct {
	Name     string   // "ARM926EJ-S", "ARMv7 Processor"; "" on most other architectures
	Features []string // "vfpv3", "neon", "asimd"
	ARM      int      // 5, 6, 7 or 8; 0: not ARM, or not told
}

// ParseCPU reads /proc/cpuinfo; what is not there stays empty.
func ParseCPU(cpuinfo string) CPU {
	var c CPU
	architecture := ""
	for line := range strings.Lines(cpuinfo) {
		key, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch strings.ToLower(strings.TrimSpace(key)) {
		case "model name", "cpu model":
			if c.Name == "" {
				c.Name, _, _ = strings.Cut(value, " rev")
			}
		case "processor":
			// Kernels before 3.8 put the name here, later ones the number.
			if c.Name == "" && strings.Contains(value, "ARM") {
				c.Name, _, _ = strings.Cut(value, " rev")
			}
		case "features":
			c.Features = strings.Fields(value)
		case "cpu architecture":
			architecture = value
		}
	}
	switch {
	// An ARM1176 says architecture 7: its registers are laid out the new way.
	case strings.HasPrefix(c.Name, "ARMv6"):
		c.ARM = 6
	case strings.HasPrefix(architecture, "5"):
		c.ARM = 5
	case strings.HasPrefix(architecture, "6"):
		c.ARM = 6
	case strings.HasPrefix(architecture, "7"):
		c.ARM = 7
	case architecture == "8" || strings.EqualFold(architecture, "AArch64"):
		c.ARM = 8
	}
	return c
}

// level is the 32-bit ARM level: GOARM of the best build; 0 when not told.
func (c CPU) level() int {
	has := func(f string) bool { return slices.Contains(c.Features, f) }
	switch {
	case c.ARM == 8:
		return 7
	case c.ARM >= 6 && (has("vfpv3") || has("vfpv3d16") || has("vfpv4")):
		return 7
	case c.ARM >= 6 && has("vfp"):
		return 6
	case c.ARM > 0:
		return 5
	}
	return 0
}

// levels are the 32-bit ARM builds.
var levels = map[string]int{"armv5": 5, "armv6": 6, "armv7": 7}

// Runs reports why a build of scripts/build.sh does not run on this processor, nil
// when it does or when the kernel does not tell; arch is GOARCH of what runs now. A
// build above the processor's level dies of an illegal instruction before it can say
// anything.
func (c CPU) Runs(build, arch string) error {
	if !slices.Contains(Builds, build) {
		return fmt.Errorf("%s is no build; there are: %s", build, strings.Join(Builds, ", "))
	}
	want := levels[build]
	switch have := c.level(); {
	case want > 0 && arch == "arm64":
		return nil // all boards of ours also run 32-bit programs
	case want == 0 && build != arch || want > 0 && arch != "arm":
		return fmt.Errorf("%s is for another processor than %s", build, arch)
	case want > 0 && have > 0 && want > have:
		return fmt.Errorf("%s needs more than this processor has (%s: %s); take armv%d", build, c.Name, strings.Join(c.Features, " "), have)
	}
	return nil
}
