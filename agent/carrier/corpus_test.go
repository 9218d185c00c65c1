package carrier

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// labels are what the label of a message allows Read to say.
var labels = map[string][]Meaning{
	"arrears": {StopArrears}, "quota": {StopQuota}, "expired": {StopExpired}, "admin": {StopAdmin}, "imei": {StopIMEI},
	"stop": {Stop}, "slow": {Slow}, "resumed": {Resumed}, "outage": {Outage}, "none": {Nothing, Warning, Advertisement},
}

type labelled struct {
	line       int
	from, text string
	want       []Meaning
}

func loadMessages(t testing.TB, file string) []labelled {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out []labelled
	for i, line := range strings.Split(string(data), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		part := strings.Split(line, "\t")
		if len(part) != 3 {
			t.Fatalf("%s:%d: %d fields, want label, sender, text", file, i+1, len(part))
		}
		m := labelled{i + 1, part[1], strings.ReplaceAll(part[2], " // ", ""), nil}
		for _, label := range strings.Split(part[0], "|") {
			if labels[label] == nil {
				t.Fatalf("%s:%d: unknown label %q", file, i+1, label)
			}
			m.want = append(m.want, labels[label]...)
		}
		out = append(out, m)
	}
	return out
}

// TestMessages: every message says what its label says.
func TestMessages(t *testing.T) {
	for _, m := range loadMessages(t, "testdata/messages.txt") {
		if got := Classify(m.from, m.text); !slices.Contains(m.want, got) {
			t.Errorf("line %d: %s, want %s: %s", m.line, got, m.want, m.text)
		}
	}
}

// TestUnseenTexts: the sets that were written after the grammar, and messages of others.
func TestUnseenTexts(t *testing.T) {
	for _, file := range []string{"testdata/unseen.txt", "testdata/unseen2.txt", "testdata/unseen3.txt", "testdata/unseen4.txt", "testdata/unseen5.txt", "testdata/unseen6.txt", "testdata/unseen7.txt", "testdata/others.txt"} {
		for _, m := range loadMessages(t, file) {
			if got := Classify(m.from, m.text); !slices.Contains(m.want, got) {
				t.Errorf("%s:%d: %s, want %s: %s", file, m.line, got, m.want, m.text)
			}
		}
	}
}
