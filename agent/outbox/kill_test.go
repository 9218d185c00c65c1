package outbox

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

const childDir = "CELLWARDEN_OUTBOX_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		child(dir)
	}
	os.Exit(m.Run())
}

// child appends and commits for ever, and says on standard output what was accepted:
// "number payload" a line, written after Commit returned.
func child(dir string) {
	o, rep, err := Open(dir, killOptions())
	if err != nil || rep.Damaged > 0 || rep.StateLost {
		fmt.Println("open", err, rep)
		os.Exit(1)
	}
	for i := 0; ; i++ {
		n := 1 + i%3
		var lines strings.Builder
		for range n {
			payload := fmt.Sprint(os.Getpid(), ".", i, strings.Repeat("=", i%300))
			seq, err := o.Append(Priority(i%priorities), Stamp{}, []byte(payload))
			if err != nil {
				fmt.Println("append", err)
				os.Exit(1)
			}
			fmt.Fprintln(&lines, seq, payload)
		}
		if err := o.Commit(); err != nil {
			fmt.Println("commit", err)
			os.Exit(1)
		}
		if _, err := os.Stdout.WriteString(lines.String()); err != nil {
			os.Exit(1)
		}
		if i%5 == 4 {
			// Deliver a few, so that segments are freed and used again.
			for _, r := range o.Peek(8, 1<<20) {
				fmt.Println("sent", r.Seq)
				if err := o.Ack(r.Seq); err != nil {
					fmt.Println("ack", err)
					os.Exit(1)
				}
			}
		}
	}
}

func killOptions() Options {
	return Options{CapBytes: stateBytes + 64*4096*4, SegmentBytes: 4 * 4096}
}

func TestKill9LosesNothingAccepted(t *testing.T) {
	kills := long(100) // 1,000 in make bench
	if testing.Short() {
		kills = 10
	}
	dir := t.TempDir()
	rng := rand.New(rand.NewPCG(binary.LittleEndian.Uint64([]byte("kill -9 ")), 1))
	content := map[uint64]string{}
	sent := map[uint64]bool{}
	accepted := 0
	for kill := range kills {
		lines := 1 + rng.IntN(30)
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childDir+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		take := func(line string) {
			word, rest, _ := strings.Cut(line, " ")
			if word == "sent" {
				if seq, err := strconv.ParseUint(rest, 10, 64); err == nil {
					sent[seq] = true
				}
				return
			}
			seq, err := strconv.ParseUint(word, 10, 64)
			if err != nil {
				t.Fatalf("kill %d: child: %s", kill, line)
			}
			if before, ok := content[seq]; ok {
				t.Fatalf("kill %d: number %d was %.20q, is drawn again for %.20q", kill, seq, before, rest)
			}
			content[seq] = rest
			accepted++
		}
		sc := bufio.NewScanner(out)
		for n := 0; sc.Scan(); n++ {
			take(sc.Text())
			if n == lines {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = cmd.Wait() // it was killed

		o, rep, err := Open(dir, killOptions())
		if err != nil || rep.Damaged > 0 || rep.StateLost || rep.Quarantined > 0 {
			t.Fatalf("kill %d: open: %v, %+v", kill, err, rep)
		}
		here := map[uint64]bool{}
		for {
			recs := o.Peek(100, 1<<20)
			if len(recs) == 0 {
				break
			}
			for _, r := range recs {
				if want, ok := content[r.Seq]; ok && want != string(r.Payload) {
					t.Fatalf("kill %d: number %d is %.20q, was %.20q", kill, r.Seq, r.Payload, want)
				}
				content[r.Seq] = string(r.Payload) // perhaps written, but not confirmed
				here[r.Seq] = true
				o.Take(r.Seq)
			}
		}
		for seq := range content {
			if !here[seq] && !sent[seq] {
				t.Fatalf("kill %d: accepted %d is lost; gaps %+v", kill, seq, o.Gaps())
			}
		}
		for seq := range here { // half of them are delivered by this process
			if rng.IntN(2) == 0 {
				sent[seq] = true
				if err := o.Ack(seq); err != nil {
					t.Fatal(err)
				}
			}
		}
		if gaps := o.Gaps(); len(gaps) > 0 {
			t.Fatalf("kill %d: gaps %+v", kill, gaps)
		}
		if err := o.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d kills, %d records accepted, none lost", kills, accepted)
	if accepted < kills {
		t.Fatalf("only %d records accepted in %d lives", accepted, kills)
	}
}
