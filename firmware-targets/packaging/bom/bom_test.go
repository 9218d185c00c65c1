package main

import (
	"bytes"
	"debug/buildinfo"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
)

const root = "../../.."

// built is the device's program as scripts/build.sh makes it.
func built(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("SKIPPED in -short: builds the device's binary")
	}
	dir := t.TempDir()
	out, err := exec.Command(root+"/scripts/build.sh", "-o", dir, "arm64").CombinedOutput()
	file := filepath.Join(dir, "cellwarden-arm64")
	if _, serr := os.Stat(file); serr != nil { // a binary over its limit is held elsewhere
		t.Fatalf("build.sh: %v: %s", err, out)
	}
	return file
}

// The bill lists what is in the binary, no more and no less, each with its licence,
// and with the hash that go.sum has for it.
func TestBillIsOfThisBinary(t *testing.T) {
	file := built(t)
	b, err := gather(root, file)
	if err != nil {
		t.Fatal(err)
	}
	var doc document
	if err := json.Unmarshal(b.cycloneDX("v1.2.3"), &doc); err != nil {
		t.Fatal(err)
	}
	info, err := buildinfo.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	sums, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	want = append(want, "std "+strings.TrimPrefix(info.GoVersion, "go"))
	replaced := map[string]bool{}
	for _, d := range info.Deps {
		if d.Replace != nil {
			replaced[d.Path] = true
			want = append(want, d.Path+" v1.2.3")
			continue
		}
		want = append(want, d.Path+" "+d.Version)
	}
	for _, c := range doc.Components {
		got = append(got, c.Name+" "+c.Version)
		if len(c.Licenses) != 1 || c.Licenses[0].Expression == "" && (c.Licenses[0].License == nil || c.Licenses[0].License.ID == "") {
			t.Errorf("%s has no licence", c.Name)
		}
		if c.Name == goName || replaced[c.Name] {
			if len(c.Hashes) != 0 || replaced[c.Name] && c.PURL != "" {
				t.Errorf("%s: %v %q stands for something from a proxy", c.Name, c.Hashes, c.PURL)
			}
			continue
		}
		if len(c.Hashes) != 1 || len(c.Hashes[0].Content) != 64 {
			t.Errorf("%s has the hashes %v", c.Name, c.Hashes)
		}
		if line := c.Name + " " + c.Version + " " + c.Properties[0].Value + "\n"; !bytes.Contains(sums, []byte(line)) {
			t.Errorf("go.sum has no line %q", line)
		}
		if c.PURL != "pkg:golang/"+c.Name+"@"+c.Version {
			t.Errorf("%s is called %s", c.Name, c.PURL)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("the bill has\n%s\nthe binary\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if len(got) < 5 {
		t.Errorf("only %d modules: too few to be true", len(got))
	}
	if m := doc.Metadata.Component; m.Name != "cellwarden" || m.Version != "v1.2.3" || m.Hashes[0].Content != b.sha256 {
		t.Errorf("the bill is of %s %s %v", m.Name, m.Version, m.Hashes)
	}
	refs := map[string]bool{}
	for _, d := range doc.Dependencies {
		refs[d.Ref] = true
	}
	for _, d := range doc.Dependencies {
		for _, on := range d.DependsOn {
			if !refs[on] {
				t.Errorf("%s uses %s, which is not in the bill", d.Ref, on)
			}
		}
	}

	notices := string(b.notices())
	for _, m := range b.modules {
		if m.Ours == "" && !strings.Contains(notices, m.title(b)+": ") {
			t.Errorf("the notices have no text of %s", m.Path)
		}
	}
	for _, words := range []string{"Copyright 2009 The Go Authors", "TOML authors", "Eclipse Distribution License", "Dave Cheney"} {
		if !strings.Contains(notices, words) {
			t.Errorf("the notices have no %q", words)
		}
	}

	again, err := gather(root, file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(again.cycloneDX("v1.2.3"), b.cycloneDX("v1.2.3")) || !bytes.Equal(again.notices(), b.notices()) {
		t.Error("the same binary gave two different bills")
	}
}

// What is not known is refused, never passed on as if it were.
func TestRefusals(t *testing.T) {
	mit := "Permission is hereby granted, free of charge, to any person, to deal in the\n  Software without restriction"
	bsd := "Redistribution and use in source and binary forms. Neither the name of"
	gpl := "GNU GENERAL PUBLIC LICENSE Version 3, 29 June 2007"
	for _, c := range []struct {
		name, path string
		texts      []licenceText
		want, err  string
	}{
		{"one licence", "m", []licenceText{{"LICENSE", mit}}, "MIT", ""},
		{"with a patent grant beside it", "m", []licenceText{{"LICENSE", bsd}, {"PATENTS", "Additional IP Rights"}}, "BSD-3-Clause", ""},
		{"a licence in a notice file", "m", []licenceText{{"NOTICE", mit}}, "MIT", ""},
		{"no licence file", "m", nil, "", "has no licence file"},
		{"only a notice", "m", []licenceText{{"NOTICE.md", "made with care"}}, "", "has no licence file"},
		{"unknown words", "m", []licenceText{{"LICENSE", gpl}}, "", "not known"},
		{"known and unknown words", "m", []licenceText{{"LICENSE", mit}, {"sub/LICENSE", gpl}}, "", "sub/LICENSE is not known"},
		{"two licences, nobody has read how", "m", []licenceText{{"LICENSE", mit}, {"sub/COPYING", bsd}}, "", "BSD-3-Clause and MIT"},
		{"two licences that the table does not name", "github.com/eclipse/paho.mqtt.golang", []licenceText{{"LICENSE", mit}, {"edl-v10", bsd}}, "", "expressions says"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := licenceOf(c.path, c.texts)
			if got != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("%q, %v; want %q, %q", got, err, c.want, c.err)
			}
		})
	}
}

// A binary that was not built from these sources is no basis for a bill.
func TestAnotherBinary(t *testing.T) {
	dep := &debug.Module{Path: "example.org/m", Version: "v1.0.0", Sum: "h1:one"}
	for _, c := range []struct {
		name string
		deps []*debug.Module
		used []string
		sums map[string]string
		err  string
	}{
		{"the same", []*debug.Module{dep}, []string{"example.org/m"}, map[string]string{"example.org/m v1.0.0": "h1:one"}, ""},
		{"sources with one more", nil, []string{"example.org/m"}, nil, "the sources use example.org/m"},
		{"sources with one less", []*debug.Module{dep}, nil, nil, "has example.org/m, which the sources do not use"},
		{"another hash", []*debug.Module{dep}, []string{"example.org/m"}, map[string]string{"example.org/m v1.0.0": "h1:two"}, `hash "h1:one", go.sum has "h1:two"`},
		{"another version", []*debug.Module{dep}, []string{"example.org/m"}, map[string]string{"example.org/m v1.0.1": "h1:one"}, `go.sum has ""`},
	} {
		t.Run(c.name, func(t *testing.T) {
			linked := map[string]*parts{"cellwarden": {}, goName: {}}
			for _, name := range c.used {
				linked[name] = &parts{}
			}
			info := &buildinfo.BuildInfo{GoVersion: "go1.26.8 X:none", Main: debug.Module{Path: "cellwarden"}, Deps: c.deps}
			got, err := match(info, linked, c.sums)
			if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("%v, want %q", err, c.err)
			}
			if err == nil && (len(got) != 3 || got[1].Version != "1.26.8" || got[2].Sum != "h1:one") {
				t.Errorf("got %+v", got)
			}
		})
	}
}
