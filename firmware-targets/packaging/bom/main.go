// Command bom says what a built cellwarden binary is made of. From the build
// information in the binary, go.sum and the module cache it writes
//
//   - a bill of materials (CycloneDX 1.5, JSON): every module linked in with its
//     version, hash and licence, and which module uses which;
//   - the notices that have to go with the binary: the licence texts of all of
//     them and of Go itself, each text once.
//
// It refuses rather than guesses: a licence that it does not recognise, a module
// without a licence file, a checksum that go.sum does not know, a binary built
// from other sources. The same binary gives the same bytes; there is no time in
// them. It builds nothing and downloads nothing.
//
//	bom -version V [-sbom FILE] [-notices FILE] BINARY
package main

import (
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bom:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	f := flag.NewFlagSet("bom", flag.ContinueOnError)
	version := f.String("version", "dev", "what the binary says of itself")
	sbom := f.String("sbom", "", "write the bill of materials to `FILE`")
	notices := f.String("notices", "", "write the notices to `FILE`")
	root := f.String("root", ".", "the `FOLDER` with go.mod")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() != 1 {
		return errors.New("one binary is wanted")
	}
	b, err := gather(*root, f.Arg(0))
	if err != nil {
		return err
	}
	if *sbom != "" {
		if err := os.WriteFile(*sbom, b.cycloneDX(*version), 0o644); err != nil {
			return err
		}
	}
	if *notices != "" {
		return os.WriteFile(*notices, b.notices(), 0o644)
	}
	return nil
}

// goName is how Go's own library is called in the bill, as govulncheck and others
// call it.
const goName = "std"

// A bill is what was found out about one binary.
type bill struct {
	sha256   string // of the file
	settings []debug.BuildSetting
	modules  []module // as match orders them
}

// A module is one part of the binary.
type module struct {
	Path, Version string
	Sum           string // go.sum's "h1:…", "" for what is not from a module proxy
	Ours          string // the folder that stands in for this module, "" for none
	Licence       string // an SPDX expression
	Texts         []licenceText
	Uses          []string // paths of the modules whose packages it imports
}

type licenceText struct{ File, Text string }

// gather reads binary and finds its modules' licences. root has go.mod.
func gather(root, binary string) (*bill, error) {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	sums, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		return nil, err
	}
	known := map[string]string{}
	for line := range strings.Lines(string(sums)) {
		if f := strings.Fields(line); len(f) == 3 {
			known[f[0]+" "+f[1]] = f[2]
		}
	}
	linked, err := packages(root, info)
	if err != nil {
		return nil, err
	}
	hash := sha256.Sum256(data)
	b := &bill{sha256: hex.EncodeToString(hash[:]), settings: info.Settings}
	if b.modules, err = match(info, linked, known); err != nil {
		return nil, fmt.Errorf("%s: %w", binary, err)
	}
	for i, m := range b.modules {
		from := linked[m.Path]
		if m.Ours != "" {
			from = linked[info.Main.Path] // under our licence
		}
		if m.Texts, err = licenceTexts(from.dir, from.folders); err != nil {
			return nil, fmt.Errorf("%s: %w", m.Path, err)
		}
		if m.Licence, err = licenceOf(m.Path, m.Texts); err != nil {
			return nil, err
		}
		b.modules[i] = m
	}
	return b, nil
}

// match holds what the binary says of its modules against what the sources use and
// what go.sum knows ("path version" to hash). The main module comes first, then Go's
// library, then the others by name.
func match(info *buildinfo.BuildInfo, linked map[string]*parts, sums map[string]string) ([]module, error) {
	goVer, _, _ := strings.Cut(strings.TrimPrefix(info.GoVersion, "go"), " ")
	all := append([]*debug.Module{&info.Main, {Path: goName, Version: goVer}}, info.Deps...)
	for _, name := range slices.Sorted(maps.Keys(linked)) {
		if !slices.ContainsFunc(all, func(d *debug.Module) bool { return d.Path == name }) {
			return nil, fmt.Errorf("the sources use %s, the binary does not have it: build it anew", name)
		}
	}
	var out []module
	for _, d := range all {
		l := linked[d.Path]
		if l == nil {
			return nil, fmt.Errorf("has %s, which the sources do not use: build it anew", d.Path)
		}
		m := module{Path: d.Path, Version: d.Version, Uses: slices.Sorted(maps.Keys(l.uses))}
		switch {
		case d.Replace != nil:
			m.Ours = d.Replace.Path
		case d.Path != goName && d != &info.Main:
			m.Sum = d.Sum
			if want := sums[d.Path+" "+d.Version]; want == "" || want != d.Sum {
				return nil, fmt.Errorf("%s %s has the hash %q, go.sum has %q", d.Path, d.Version, d.Sum, want)
			}
		}
		out = append(out, m)
	}
	return out, nil
}

// parts are the packages of one module that are linked in.
type parts struct {
	dir     string // the module's folder
	folders []string
	uses    map[string]bool
}

// packages asks the go command which packages the program consists of, under the
// settings of the build, by module.
func packages(root string, info *buildinfo.BuildInfo) (map[string]*parts, error) {
	args := []string{"list", "-deps", "-json=ImportPath,Dir,Root,Standard,Module,Imports"}
	env := os.Environ()
	for _, s := range info.Settings {
		switch {
		case s.Key == "-tags":
			args = append(args, "-tags", s.Value)
		case strings.HasPrefix(s.Key, "GO"), s.Key == "CGO_ENABLED":
			env = append(env, s.Key+"="+s.Value)
		}
	}
	cmd := exec.Command("go", append(args, info.Path)...)
	cmd.Dir, cmd.Env, cmd.Stderr = root, env, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list -deps %s: %w", info.Path, err)
	}
	type listed struct {
		ImportPath, Dir, Root string
		Standard              bool
		Imports               []string
		Module                *struct{ Path, Dir string }
	}
	var all []listed
	of := map[string]string{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		of[p.ImportPath] = goName
		if p.Module != nil {
			of[p.ImportPath] = p.Module.Path
		}
		all = append(all, p)
	}
	by := map[string]*parts{}
	for _, p := range all {
		name, dir := of[p.ImportPath], p.Root
		if p.Module != nil {
			dir = p.Module.Dir
		}
		m := by[name]
		if m == nil {
			m = &parts{dir: dir, uses: map[string]bool{}}
			by[name] = m
		}
		m.folders = append(m.folders, p.Dir)
		for _, q := range p.Imports {
			if of[q] != "" && of[q] != name {
				m.uses[of[q]] = true
			}
		}
	}
	return by, nil
}

// licenceFile are the names under which modules keep what must be passed on.
// paho keeps its two licences as edl-v10 and epl-v20.
var licenceFile = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|patents|edl-v10|epl-v20)([.-].*)?$`)

// notLinked are licence files of what is beside a linked package, and why nothing
// that they cover is in the binary.
var notLinked = map[string]string{
	"src/crypto/internal/boring/LICENSE": "covers the object files of GOEXPERIMENT=boringcrypto, which need cgo",
}

// licenceTexts reads the licence files of a module: those beside its linked
// packages and in every folder above them, up to the module's own.
func licenceTexts(root string, folders []string) ([]licenceText, error) {
	seen := map[string]bool{}
	var names []string
	for _, dir := range append([]string{root}, folders...) {
		for ; !seen[dir] && (dir == root || strings.HasPrefix(dir, root+string(filepath.Separator))); dir = filepath.Dir(dir) {
			seen[dir] = true
			entries, err := os.ReadDir(dir)
			if err != nil {
				return nil, err
			}
			for _, e := range entries {
				if e.Type().IsRegular() && licenceFile.MatchString(e.Name()) {
					names = append(names, filepath.Join(dir, e.Name()))
				}
			}
		}
	}
	slices.Sort(names)
	var texts []licenceText
	for _, name := range names {
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return nil, err
		}
		if notLinked[rel] != "" {
			continue
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		texts = append(texts, licenceText{rel, strings.Trim(strings.ReplaceAll(string(data), "\r\n", "\n"), "\n")})
	}
	return texts, nil
}

// expressions are the modules that come under more than one licence, by what
// their own files say. Paho: NOTICE.md, "made available under the terms of the
// Eclipse Public License v2.0 and Eclipse Distribution License v1.0", the latter
// being the BSD-3-Clause text.
var expressions = map[string]string{
	"github.com/eclipse/paho.mqtt.golang": "EPL-2.0 OR BSD-3-Clause",
}

// licenceOf is the licence of the module path, by the wording of its files.
func licenceOf(path string, texts []licenceText) (string, error) {
	found := map[string]bool{}
	for _, t := range texts {
		id := classify(t.Text)
		base := strings.ToLower(filepath.Base(t.File))
		if id == "" && (strings.HasPrefix(base, "notice") || strings.HasPrefix(base, "patents")) {
			continue // goes with a licence, is none
		}
		if id == "" {
			return "", fmt.Errorf("%s: the licence in %s is not known: read it, then add its wording to classify", path, t.File)
		}
		found[id] = true
	}
	ids := slices.Sorted(maps.Keys(found))
	switch {
	case len(ids) == 0:
		return "", fmt.Errorf("%s: has no licence file", path)
	case len(ids) == 1:
		return ids[0], nil
	case expressions[path] == "":
		return "", fmt.Errorf("%s: comes under %s: read how they go together, then add it to expressions", path, strings.Join(ids, " and "))
	}
	for _, id := range ids {
		if !strings.Contains(expressions[path], id) {
			return "", fmt.Errorf("%s: comes under %s, expressions says %s", path, strings.Join(ids, " and "), expressions[path])
		}
	}
	return expressions[path], nil
}

// classify names the licence that a text is, by SPDX, from sentences that only
// this licence has; "" for none that is known.
func classify(text string) string {
	t := strings.Join(strings.Fields(strings.ToLower(text)), " ")
	has := func(parts ...string) bool {
		return !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(t, p) })
	}
	switch {
	case has("apache license version 2.0, january 2004", "grant of patent license"):
		return "Apache-2.0"
	case has("eclipse public license - v 2.0", "any use, reproduction or distribution of the program constitutes"):
		return "EPL-2.0"
	case has("mozilla public license version 2.0", "covered software"):
		return "MPL-2.0"
	case has("permission is hereby granted, free of charge", "to deal in the software without restriction"):
		return "MIT"
	case has("redistribution and use in source and binary forms", "neither the name of"):
		return "BSD-3-Clause"
	case has("redistribution and use in source and binary forms", "this list of conditions and the following disclaimer in the documentation"):
		return "BSD-2-Clause"
	case has("permission to use, copy, modify, and/or distribute this software for any purpose"):
		return "ISC"
	}
	return ""
}

// notices are all licence texts, each once, below the names of those that come
// under it.
func (b *bill) notices() []byte {
	var out bytes.Buffer
	fmt.Fprint(&out, "What is linked into the program \"cellwarden\", and the terms that each part comes under.\n\n")
	users := map[string][]string{}
	var order []string
	for _, m := range b.modules {
		name := m.title(b)
		fmt.Fprintf(&out, "  %-50s %s\n", name, m.Licence)
		for _, t := range m.Texts {
			if users[t.Text] == nil {
				order = append(order, t.Text)
			}
			if who := name + ": " + t.File; !slices.Contains(users[t.Text], who) {
				users[t.Text] = append(users[t.Text], who)
			}
		}
	}
	for _, text := range order {
		fmt.Fprintf(&out, "\n%s\n%s\n%s\n\n%s\n", strings.Repeat("=", 78), strings.Join(users[text], "\n"), strings.Repeat("-", 78), text)
	}
	return out.Bytes()
}

// title is what the notices call a module.
func (m module) title(b *bill) string {
	switch {
	case m.Path == goName:
		return "Go " + m.Version
	case m.Path == b.modules[0].Path:
		return m.Path
	case m.Ours != "":
		return m.Path + " (an empty stand-in of ours)"
	}
	return m.Path + " " + m.Version
}

// What CycloneDX 1.5 calls things.
type (
	document struct {
		BOMFormat    string       `json:"bomFormat"`
		SpecVersion  string       `json:"specVersion"`
		SerialNumber string       `json:"serialNumber"`
		Version      int          `json:"version"`
		Metadata     metadata     `json:"metadata"`
		Components   []component  `json:"components"`
		Dependencies []dependency `json:"dependencies"`
	}
	metadata struct {
		Component component `json:"component"`
	}
	component struct {
		Type        string     `json:"type"`
		Ref         string     `json:"bom-ref"`
		Name        string     `json:"name"`
		Version     string     `json:"version"`
		Description string     `json:"description,omitempty"`
		Hashes      []hashed   `json:"hashes,omitempty"`
		Licenses    []licence  `json:"licenses"`
		PURL        string     `json:"purl,omitempty"`
		Properties  []property `json:"properties,omitempty"`
	}
	hashed struct {
		Alg     string `json:"alg"`
		Content string `json:"content"`
	}
	licence struct {
		License    *licenceID `json:"license,omitempty"`
		Expression string     `json:"expression,omitempty"`
	}
	licenceID struct {
		ID string `json:"id"`
	}
	property struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	dependency struct {
		Ref       string   `json:"ref"`
		DependsOn []string `json:"dependsOn,omitempty"`
	}
)

func licences(spdx string) []licence {
	if strings.Contains(spdx, " ") {
		return []licence{{Expression: spdx}}
	}
	return []licence{{License: &licenceID{spdx}}}
}

// cycloneDX is the bill as JSON.
func (b *bill) cycloneDX(version string) []byte {
	refs := map[string]string{}
	for i, m := range b.modules {
		refs[m.Path] = "pkg:golang/" + m.Path + "@" + m.Version
		if i == 0 || m.Ours != "" {
			refs[m.Path] = m.Path
		}
	}
	doc := document{BOMFormat: "CycloneDX", SpecVersion: "1.5", SerialNumber: "urn:uuid:" + uuid(b.sha256), Version: 1, Components: []component{}}
	for i, m := range b.modules {
		c := component{Type: "library", Ref: refs[m.Path], Name: m.Path, Version: m.Version, Licenses: licences(m.Licence)}
		switch {
		case i == 0:
			c.Type, c.Version = "application", version
			c.Hashes = []hashed{{"SHA-256", b.sha256}}
			for _, s := range b.settings {
				c.Properties = append(c.Properties, property{"cellwarden:build:" + s.Key, s.Value})
			}
		case m.Ours != "":
			c.Version = version
			c.Description = "an empty stand-in, " + m.Ours + ": nothing of the module itself is linked in"
		default:
			c.PURL = refs[m.Path]
		}
		if sum, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(m.Sum, "h1:")); err == nil && len(sum) == sha256.Size {
			// As other tools for Go do: go.sum's hash is a SHA-256 over the list of the
			// module's files and their hashes.
			c.Hashes = []hashed{{"SHA-256", hex.EncodeToString(sum)}}
			c.Properties = []property{{"cellwarden:go.sum", m.Sum}}
		}
		if i == 0 {
			doc.Metadata.Component = c
		} else {
			doc.Components = append(doc.Components, c)
		}
		d := dependency{Ref: refs[m.Path]}
		for _, u := range m.Uses {
			d.DependsOn = append(d.DependsOn, refs[u])
		}
		doc.Dependencies = append(doc.Dependencies, d)
	}
	out, err := json.MarshalIndent(doc, "", " ")
	if err != nil {
		panic(err) // strings only
	}
	return append(out, '\n')
}

// uuid makes the document's number from the binary's hash: another binary, another
// number, and the same one for the same.
func uuid(sha256Hex string) string {
	raw, _ := hex.DecodeString(sha256Hex[:32])
	raw[6] = raw[6]&0x0f | 0x80 // RFC 9562: version 8, made in a way of one's own
	raw[8] = raw[8]&0x3f | 0x80
	h := hex.EncodeToString(raw)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
