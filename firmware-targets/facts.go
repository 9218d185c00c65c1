package targets

import (
	"io/fs"
	"strings"
)

// ReadFacts asks the machine what it is. root is os.DirFS("/"), arch is GOARCH. What
// cannot be read stays empty.
func ReadFacts(root fs.FS, arch string) Facts {
	read := func(paths ...string) string {
		for _, p := range paths {
			if b, err := fs.ReadFile(root, p); err == nil {
				return strings.Trim(string(b), "\x00 \t\r\n")
			}
		}
		return ""
	}
	f := Facts{
		Model: read("proc/device-tree/model", "sys/firmware/devicetree/base/model"),
		CPU:   ParseCPU(read("proc/cpuinfo")),
		Arch:  arch,
	}
	if c := read("proc/device-tree/compatible", "sys/firmware/devicetree/base/compatible"); c != "" {
		f.Compatible = strings.Split(c, "\x00")
	}
	if f.Model == "" {
		f.Model = strings.TrimSpace(read("sys/class/dmi/id/sys_vendor") + " " + read("sys/class/dmi/id/product_name"))
	}
	_, err := fs.Stat(root, "system/build.prop")
	f.Android = err == nil
	return f
}
