package scripts

import (
	"go/ast"
	"go/token"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// atCommand is a literal that would be sent to a modem: AT+CFUN=1, AT#QSS?, ATE0.
var atCommand = regexp.MustCompile(`^.AT([-+#^%&$*!@]|[A-Z][0-9])`)

// speakAT are the packages under agent/ that may hold AT commands.
var speakAT = map[string]string{
	"agent/worker": "it carries the steps out",
}

// What is said to a modem belongs to the modem's packages and to the worker: everywhere
// else a command would miss the family's profile.
func TestHouseATCommandsStayWithTheModem(t *testing.T) {
	pkgs := tree(t)
	for _, pkg := range slices.Sorted(maps.Keys(pkgs)) {
		if !strings.HasPrefix(pkg, "agent") || speakAT[pkg] != "" || below(pkg, "agent/demo") {
			continue
		}
		for _, f := range pkgs[pkg] {
			ast.Inspect(f.File, func(n ast.Node) bool {
				if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING && atCommand.MatchString(lit.Value) {
					t.Errorf("%s has the AT command %s: ask a Query of package modem, or let package worker do it", f.at(n), lit.Value)
				}
				return true
			})
		}
	}
}

// What stands above the rooms must not be reached from within them.
func TestHouseRoomsDoNotKnowTheAgent(t *testing.T) {
	for _, room := range []string{"agent/worker", "agent/device", "agent/core"} {
		if len(tree(t)[room]) == 0 {
			t.Errorf("%s is not there", room)
		}
		if slices.Contains(arrows[room], "agent") || slices.Contains(arrows[room], "*") {
			t.Errorf("%s may import package agent, which wires it", room)
		}
	}
}
