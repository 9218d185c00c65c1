// Command cellwarden-sign makes what devices update from: keys, roots, manifests
// with their packed binaries and deltas. It runs where releases are made, or on the
// machines that hold the keys; no device has it. protocol/REFERENCE.md shows it at work.
package main

import (
	"bytes"
	"compress/gzip"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"cellwarden/agent/update"
	"cellwarden/protocol"
)

const usage = `usage: cellwarden-sign COMMAND
  key FILE                                        draw a key: FILE (secret) and FILE.pub
  root -version N -threshold K -expires DATE [-o FILE] PUB...
                                                  a root, not signed yet
  manifest -version V -target T -expires DATE -binary FILE [-from OLD]... [-roots FILE]... -o DIR
                                                  packed binary, deltas and manifest, not signed yet
  sign -key FILE DOCUMENT                         add a signature to a root or manifest
  show [-root FILE] DOCUMENT                      what it says, and whether it would be taken
`

func main() {
	if len(os.Args) < 2 {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(1)
	}
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "cellwarden-sign:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	commands := map[string]func([]string, io.Writer) error{"key": newKey, "root": newRoot, "manifest": newManifest, "sign": sign, "show": show}
	do := commands[args[0]]
	if do == nil {
		return fmt.Errorf("unknown command %q: key, root, manifest, sign, show", args[0])
	}
	return do(args[1:], out)
}

// list is a flag that may be given several times.
type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

func newKey(args []string, out io.Writer) error {
	if len(args) != 1 {
		return errors.New("key: name the file")
	}
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(args[0], os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err // one that exists is never written over
	}
	_, err = fmt.Fprintln(f, base64.StdEncoding.EncodeToString(key.Seed()))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s  key %s\n", update.PublicKey(pub), update.KeyID(pub))
	return os.WriteFile(args[0]+".pub", []byte(update.PublicKey(pub)+"\n"), 0o644)
}

// instant accepts a date or RFC 3339.
func instant(s string) (string, error) {
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		return t.Format(time.RFC3339), nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return "", fmt.Errorf("-expires %q: want such as 2027-06-30", s)
	}
	return t.UTC().Format(time.RFC3339), nil
}

func newRoot(args []string, out io.Writer) error {
	f := flag.NewFlagSet("root", flag.ContinueOnError)
	version := f.Int("version", 1, "one more than the root before")
	threshold := f.Int("threshold", 2, "how many keys must sign")
	expires := f.String("expires", "", "date")
	file := f.String("o", "root.json", "file to write")
	if err := f.Parse(args); err != nil {
		return err
	}
	end, err := instant(*expires)
	if err != nil {
		return err
	}
	r := update.Root{Type: "root", V: 1, Version: *version, Expires: end, Threshold: *threshold}
	for _, name := range f.Args() {
		pub, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		text := strings.TrimSpace(string(pub))
		if _, err := protocol.ParsePublicKey(text); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		r.Keys = append(r.Keys, text)
	}
	if r.Threshold < 1 || r.Threshold > len(r.Keys) {
		return fmt.Errorf("root: -threshold %d of %d keys", r.Threshold, len(r.Keys))
	}
	fmt.Fprintf(out, "%s: root %d, %d of %d keys; sign it with %d of them, and with those of the root before\n", *file, r.Version, r.Threshold, len(r.Keys), r.Threshold)
	return write(*file, r, nil)
}

// write makes an unsigned document of payload.
func write(file string, payload any, roots []update.Document) error {
	raw, err := json.MarshalIndent(payload, "", "  ")
	if err != nil {
		return err
	}
	return save(file, update.Document{Signed: raw, Sigs: []update.Signature{}, Roots: roots})
}

func save(file string, d update.Document) error {
	raw, err := json.Marshal(d)
	if err != nil {
		return err
	}
	if _, err := update.Parse(raw); err != nil {
		return err // no device would read it
	}
	return os.WriteFile(file, append(raw, '\n'), 0o644)
}

func load(file string) (update.Document, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return update.Document{}, err
	}
	d, err := update.Parse(raw)
	if err != nil {
		return d, fmt.Errorf("%s: %w", file, err)
	}
	return d, nil
}

func sumOf(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

func newManifest(args []string, out io.Writer) error {
	f := flag.NewFlagSet("manifest", flag.ContinueOnError)
	version := f.String("version", "", "what `cellwarden version` prints of it")
	target := f.String("target", "", "a name of scripts/build.sh")
	expires := f.String("expires", "", "date")
	binary := f.String("binary", "", "the new binary")
	dir := f.String("o", ".", "folder to write to")
	var olds, roots list
	f.Var(&olds, "from", "a binary in the field; a delta is made from it")
	f.Var(&roots, "roots", "a change of keys that devices may have missed, oldest first")
	if err := f.Parse(args); err != nil {
		return err
	}
	end, err := instant(*expires)
	if err != nil {
		return err
	}
	neu, err := os.ReadFile(*binary)
	if err != nil {
		return err
	}
	if !update.Newer(*version, "") || *target == "" {
		return fmt.Errorf("manifest: -version %q and -target %q: want such as v1.2.3 and armv7", *version, *target)
	}
	if !bytes.Contains(neu, []byte(*version)) {
		return fmt.Errorf("manifest: %s does not hold the version %s: build it with VERSION=%s", *binary, *version, *version)
	}
	m := update.Manifest{Type: "manifest", V: 1, Version: *version, Target: *target, Expires: end, Size: int64(len(neu)), SHA256: sumOf(neu)}
	name := "cellwarden-" + *version + "-" + *target
	add := func(form update.Form, data []byte) error {
		form.Size, form.SHA256 = int64(len(data)), sumOf(data)
		m.Forms = append(m.Forms, form)
		fmt.Fprintf(out, "%-48s %9d bytes\n", form.Name, form.Size)
		return os.WriteFile(filepath.Join(*dir, form.Name), data, 0o644)
	}
	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := z.Write(neu); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	if err := add(update.Form{Kind: update.Gzip, Name: name + ".gz"}, packed.Bytes()); err != nil {
		return err
	}
	for _, file := range olds {
		old, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		var patch bytes.Buffer
		if err := update.WriteDelta(&patch, old, neu); err != nil {
			return err
		}
		if patch.Len() >= packed.Len() {
			continue // nothing in common
		}
		from := sumOf(old)
		if err := add(update.Form{Kind: update.DeltaForm, From: from, Name: name + "-from-" + from[:8] + ".delta"}, patch.Bytes()); err != nil {
			return err
		}
	}
	var chain []update.Document
	for _, file := range roots {
		d, err := load(file)
		if err != nil {
			return err
		}
		chain = append(chain, d)
	}
	return write(filepath.Join(*dir, name+".json"), m, chain)
}

func sign(args []string, out io.Writer) error {
	f := flag.NewFlagSet("sign", flag.ContinueOnError)
	keyFile := f.String("key", "", "the secret key's file")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() != 1 {
		return errors.New("sign: name one document")
	}
	text, err := os.ReadFile(*keyFile)
	if err != nil {
		return err
	}
	seed, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(seed) != ed25519.SeedSize {
		return fmt.Errorf("%s is no key", *keyFile)
	}
	d, err := load(f.Arg(0))
	if err != nil {
		return err
	}
	// What one signs one should have seen.
	fmt.Fprintf(out, "%s\n", d.Signed)
	d.Sign(ed25519.NewKeyFromSeed(seed))
	return save(f.Arg(0), d)
}

func show(args []string, out io.Writer) error {
	f := flag.NewFlagSet("show", flag.ContinueOnError)
	rootFile := f.String("root", "", "the root that devices have")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() != 1 {
		return errors.New("show: name one document")
	}
	d, err := load(f.Arg(0))
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s\n", d.Signed)
	for _, s := range d.Sigs {
		fmt.Fprintf(out, "signed by key %s\n", s.Key)
	}
	if *rootFile == "" {
		return nil
	}
	rootData, err := os.ReadFile(*rootFile)
	if err != nil {
		return err
	}
	root, err := update.OwnRoot(rootData)
	if err != nil {
		return fmt.Errorf("%s: %w", *rootFile, err)
	}
	data, err := json.Marshal(d)
	if err != nil {
		return err
	}
	var m struct{ Target, Type string }
	if err := json.Unmarshal(d.Signed, &m); err != nil {
		return err
	}
	if m.Type == "root" {
		// As a device meets it: as a change on the way to some manifest.
		if data, err = json.Marshal(update.Document{Signed: []byte(`{}`), Roots: []update.Document{d}}); err != nil {
			return err
		}
		if _, kept, err := update.Judge(data, update.Device{Root: root}); kept == nil {
			return fmt.Errorf("not taken after root %d: %w", root.Version, err)
		}
		fmt.Fprintf(out, "taken by devices that have root %d\n", root.Version)
		return nil
	}
	if _, _, err := update.Judge(data, update.Device{Root: root, Target: m.Target, Now: time.Now(), Trusted: true}); err != nil {
		return err
	}
	fmt.Fprintf(out, "taken by devices that have root %d and run an older version\n", root.Version)
	return nil
}
