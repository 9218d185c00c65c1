package modemtest

import (
	"embed"
	"fmt"
	"strings"
)

//go:embed scenarios/*.txtar
var builtin embed.FS

// BuiltinNames lists the built-in scenarios in order.
func BuiltinNames() []string {
	entries, err := builtin.ReadDir("scenarios")
	if err != nil {
		panic(err) // the folder is embedded: it cannot be missing
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".txtar"))
	}
	return names
}

// Builtin returns a built-in scenario by name: "sim-absent".
func Builtin(name string) (*Scenario, error) {
	data, err := builtin.ReadFile("scenarios/" + name + ".txtar")
	if err != nil {
		return nil, fmt.Errorf("no built-in scenario %q; there are %s", name, strings.Join(BuiltinNames(), ", "))
	}
	return Parse(name+".txtar", data)
}
