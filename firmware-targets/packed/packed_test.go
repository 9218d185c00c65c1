package packed

import (
	"strings"
	"testing"
)

func TestTextUndoesPack(t *testing.T) {
	for name, text := range map[string]string{
		"empty":     "",
		"too short": "a = 1\n",
		"Chinese":   strings.Repeat("欠费停机，请充值。\n", 50),
		"one line":  "# rows\n" + strings.Repeat("mm\t2\tIMSI unknown in HLR\n", 100),
	} {
		file := Pack(text)
		if len(file) > len(text) {
			t.Errorf("%s: %d bytes became %d", name, len(text), len(file))
		}
		if got := Text(file); got != text {
			t.Errorf("%s: %q came back", name, got)
		}
		if got := Text(text); got != text {
			t.Errorf("%s: plain, read as %q", name, got)
		}
	}
	if text := strings.Repeat("欠费停机，请充值。\n", 50); len(Pack(text)) > len(text)/4 {
		t.Errorf("%d bytes only became %d", len(text), len(Pack(text)))
	}
}

func TestDamagedFileIsNotRead(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a cut file was read as if it were whole")
		}
	}()
	file := Pack(strings.Repeat("a row of some table\n", 100))
	t.Errorf("read %q", Text(file[:len(file)/2]))
}
