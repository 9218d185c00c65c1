package main

import (
	"os"
	"path/filepath"
	"testing"

	"cellwarden/agent"
	"cellwarden/agent/web/access"
)

func TestPINIsKeptHashedBesideTheOther(t *testing.T) {
	dir := t.TempDir()
	for role, pin := range map[access.Role]string{access.Actor: "804512", access.Reader: "275190"} {
		if err := keepPIN(dir, role, pin); err != nil {
			t.Fatal(err)
		}
	}
	if err := keepPIN(dir, access.Actor, "1234"); err == nil {
		t.Error("a PIN of four digits was taken")
	}
	pins, err := agent.LoadPins(dir)
	if err != nil || pins.Role("804512") != access.Actor || pins.Role("275190") != access.Reader || pins.Role("1234") != access.Nobody {
		t.Errorf("kept: %v %v %v, %v", pins.Role("804512"), pins.Role("275190"), pins.Role("1234"), err)
	}
	info, err := os.Stat(filepath.Join(dir, agent.PinFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v: others can read it", info.Mode(), err)
	}
}
