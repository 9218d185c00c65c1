package core

import (
	"strings"
	"testing"
)

// What backends and platforms write keeps its sense and loses its numbers.
func TestForeignTextIsMaskedAndShort(t *testing.T) {
	for in, want := range map[string]string{
		"active":                    "active",
		"2026-11-22T04:21:07+08:00": "2026-11-22T04:21:07+08:00",
		"200031 card 89860099887766554433 of 13900000042 stopped": "200031 card ******************** of *********** stopped",
		"卡号8986009988776655443A":                                  "卡号*******************A",
		`args.class: "460009988776655" is no class`:               `args.class: "***************" is no class`,
		"":       "",
		"999999": "999999",
	} {
		if got := foreign(in); got != want {
			t.Errorf("%q reads %q, want %q", in, got, want)
		}
	}
	if got := foreign(strings.Repeat("卡", 16<<10)); len(got) != maxForeign {
		t.Errorf("16 KB of Han keep %d bytes, want %d whole letters", len(got), maxForeign)
	}
}
