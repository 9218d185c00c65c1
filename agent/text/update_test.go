package text

import (
	"testing"

	"cellwarden/protocol"
)

func TestEveryUpdateCodeHasWords(t *testing.T) {
	for _, lang := range Langs {
		for _, code := range protocol.UpdateCodes {
			if !Has(lang, "update."+code) {
				t.Errorf("%s: update.%s has no words", lang, code)
			}
		}
	}
}
