// Command build writes the page of package doctor as one file: the judgement as
// WebAssembly, gzipped, and the page around it. It works from any place, a USB stick
// too, and asks no network.
//
//	go run ./agent/web/doctor/build [-o dist/doctor.html]
package main

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

func main() {
	out := flag.String("o", "dist/doctor.html", "where the page is written")
	page := flag.String("page", "agent/web/doctor/page.html", "the page around the judgement")
	flag.Parse()
	if err := build(*out, *page); err != nil {
		fmt.Fprintln(os.Stderr, "doctor-page:", err)
		os.Exit(1)
	}
}

func build(out, page string) error {
	shell, err := os.ReadFile(page)
	if err != nil {
		return fmt.Errorf("%w; run it from the top of the project", err)
	}
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return fmt.Errorf("go env GOROOT: %w", err)
	}
	glue, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(root)), "lib", "wasm", "wasm_exec.js"))
	if err != nil {
		return fmt.Errorf("%w; the Go toolchain brings it", err)
	}
	dir, err := os.MkdirTemp("", "doctor")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	wasm := filepath.Join(dir, "doctor.wasm")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", wasm, "./agent/web/doctor/wasm")
	cmd.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm", "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go build: %w", err)
	}
	code, err := os.ReadFile(wasm)
	if err != nil {
		return err
	}
	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := z.Write(code); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	html := strings.Replace(string(shell), "/*WASM_EXEC*/", string(glue), 1)
	html = strings.Replace(html, "/*WASM_BASE64*/", base64.StdEncoding.EncodeToString(packed.Bytes()), 1)
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(out, []byte(html), 0o644); err != nil {
		return err
	}
	fmt.Printf("%s: %d bytes, of which %d are the judgement (%d unpacked)\n", out, len(html), packed.Len(), len(code))
	return nil
}
