package board

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"cellwarden/agent/flash"
	"cellwarden/agent/wayout"
)

const (
	blockTable = "cellwarden"
	// nftTimeout bounds one call of nft, which takes some ten milliseconds; the
	// loop waits for it.
	nftTimeout = 5 * time.Second
)

// Block keeps the machine's own traffic off the data interfaces, with a table of
// its own in nftables: what the machine sends or forwards there is dropped, but
// for the agent's sockets and for DNS, which a resolver on the board asks in the
// agent's name. It touches no other table. Not safe for concurrent use.
//
// A file in the run directory tells that the table stands, so that a start after
// a crash takes it away; both vanish with a reboot.
type Block struct {
	ifaces []string
	marker string
	on     bool // the table stands
	stale  bool // but it may not be the one that is wanted
	want   bool
}

// NewBlock takes over what an earlier run left. The interfaces are names, or
// patterns that end in a star; others are left out. dir is the run directory.
func NewBlock(dir string, patterns []string) *Block {
	b := &Block{marker: dir + "/blocked"}
	for _, p := range patterns {
		if strings.ContainsAny(strings.TrimSuffix(p, "*"), "*?[]\\\"") || p == "*" {
			continue
		}
		b.ifaces = append(b.ifaces, `"`+p+`"`)
	}
	_, err := os.Stat(b.marker)
	b.on = !errors.Is(err, fs.ErrNotExist)
	b.stale = b.on // an earlier run may have had another config
	return b
}

// Over names an interface that carries data now, which no pattern may fit: one
// found through the modem's USB device. "" changes nothing.
func (b *Block) Over(iface string) {
	if iface == "" || slices.ContainsFunc(b.ifaces, func(p string) bool {
		p = strings.Trim(p, `"`)
		stem, any := strings.CutSuffix(p, "*")
		return p == iface || any && strings.HasPrefix(iface, stem)
	}) {
		return
	}
	b.ifaces = append(b.ifaces[:min(len(b.ifaces), maxPatterns)], `"`+iface+`"`)
	b.stale = true
}

// On reports whether the machine's traffic is blocked now.
func (b *Block) On() bool { return b.on }

// Want says what shall be; Settle does it.
func (b *Block) Want(on bool) { b.want = on }

// Settle brings the table where it is wanted. After an error it is tried again by
// the next call; without a change it costs nothing.
func (b *Block) Settle() error {
	if b.want == b.on && !(b.on && b.stale) {
		return nil
	}
	if !b.want {
		return b.undo()
	}
	if len(b.ifaces) == 0 {
		return errors.New("board: block: no interface of data.interfaces can be named to nft; write names, or patterns that end in *")
	}
	// The marker first: a crash in between takes away what is not there.
	if err := flash.Mark(flash.OS{}, b.marker); err != nil {
		return fmt.Errorf("board: block: %w", err)
	}
	if err := nft(b.script()); err != nil {
		return err
	}
	b.on, b.stale = true, false
	return nil
}

// undo deletes the table, which need not be there.
func (b *Block) undo() error {
	if err := nft(fresh); err != nil {
		return err
	}
	if err := os.Remove(b.marker); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("board: block: %w", err)
	}
	b.on = false
	return nil
}

// fresh makes a table that may be there and deletes it, which nft does as one.
const fresh = "table inet " + blockTable + "\ndelete table inet " + blockTable + "\n"

func (b *Block) script() string {
	set := "{ " + strings.Join(b.ifaces, ", ") + " }"
	return fresh + fmt.Sprintf(`table inet %s {
	chain out {
		type filter hook output priority 0; policy accept;
		meta mark %#x accept
		meta l4proto { tcp, udp } th dport 53 accept
		oifname %s counter drop
	}
	chain through {
		type filter hook forward priority 0; policy accept;
		oifname %s counter drop
	}
}
`, blockTable, wayout.Mark, set, set)
}

// nftPlaces is where distributions and buildroots put it.
var nftPlaces = []string{"/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft"}

// nft has a script carried out, whole or not at all.
func nft(script string) error {
	path := ""
	for _, p := range nftPlaces {
		if _, err := os.Stat(p); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		return errors.New("board: block: the nft command is missing: install nftables, or set data.block_at to never")
	}
	ctx, cancel := context.WithTimeout(context.Background(), nftTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "-f", "-")
	cmd.Stdin = strings.NewReader(script)
	cmd.WaitDelay = time.Second // what it started may hold its output open
	said, err := cmd.CombinedOutput()
	if err != nil {
		line, _, _ := strings.Cut(strings.TrimSpace(string(said)), "\n")
		return fmt.Errorf("board: block: nft: %w: %.200s", err, line)
	}
	return nil
}
