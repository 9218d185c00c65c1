package scripts

import (
	"go/ast"
	"maps"
	"slices"
	"testing"
)

// outward are what opens a way out of this host, binds or marks it, or asks for names.
// They are agent/wayout's alone.
var outward = map[string][]string{
	"net": {"Dial", "DialTimeout", "DialTCP", "DialUDP", "DialIP", "Dialer", "Resolver", "DefaultResolver", "LookupHost", "LookupIP", "LookupAddr",
		"LookupCNAME", "LookupSRV", "LookupTXT", "LookupMX", "LookupNS", "LookupPort", "ResolveTCPAddr", "ResolveUDPAddr", "ResolveIPAddr"},
	"golang.org/x/sys/unix": {"SO_BINDTODEVICE", "SO_MARK", "BindToDevice", "SO_BINDTOIFINDEX"},
	"syscall":               {"SO_BINDTODEVICE", "SO_MARK", "BindToDevice"},
	"net/http":              {"Get", "Head", "Post", "DefaultClient", "DefaultTransport"},
	"crypto/tls":            {"Dial", "DialWithDialer", "Dialer"},
}

// notOutward are the other uses, and why each is no way out.
var notOutward = map[string]string{
	"agent/localapi.DialTimeout": "the local socket: does another agent answer there?",
	"agent/localapi.Dialer":      "the local socket",
	"agent/device.Dial":          "asks the kernel for a route; nothing is sent",
	"agent/demo":                 "the demo, not on a device",
	"agent/board/boardtest":      "for tests",
}

// Who leaves this host leaves by agent/wayout: else a probe could pass where the uplink
// cannot bind, or the other way round.
func TestHouseOneWayOut(t *testing.T) {
	pkgs := tree(t)
	used := map[string]bool{}
	for _, pkg := range slices.Sorted(maps.Keys(pkgs)) {
		if !below(pkg, "agent") || pkg == "agent/wayout" {
			continue
		}
		for _, f := range pkgs[pkg] {
			ast.Inspect(f.File, func(n ast.Node) bool {
				sel, ok := n.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				x, ok := sel.X.(*ast.Ident)
				if !ok || !slices.Contains(outward[f.imports[x.Name]], sel.Sel.Name) {
					return true
				}
				for _, key := range []string{pkg, pkg + "." + sel.Sel.Name} {
					if notOutward[key] != "" {
						used[key] = true
						return true
					}
				}
				t.Errorf("%s uses %s.%s: the one way out is agent/wayout's (Way.Connect, Way.Dial, Way.Resolve)", f.at(n), x.Name, sel.Sel.Name)
				return true
			})
		}
	}
	for key := range notOutward {
		if !used[key] {
			t.Errorf("%s needs no exception any more", key)
		}
	}
	seen := false
	for _, f := range pkgs["agent/wayout"] {
		ast.Inspect(f.File, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok && sel.Sel.Name == "SO_MARK" {
				seen = true
			}
			return true
		})
	}
	if !seen {
		t.Error("agent/wayout marks no socket: what does the rule look for?")
	}
}
