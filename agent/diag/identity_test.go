package diag

import (
	"testing"

	"cellwarden/modem/threegpp"
)

// A Quectel EC20F answers +CGMI, +CGMM and +CGMR one field at a time.
func TestIdentityComesInPieces(t *testing.T) {
	var k Known
	for _, f := range []threegpp.ModemIdentity{{Manufacturer: "Quectel"}, {Model: "EC20F"}, {Revision: "EC20CEFAGR06A05M4G"}} {
		k.Observe(Observation{Source: "at:+CGMI", Fact: f})
	}
	want := threegpp.ModemIdentity{Manufacturer: "Quectel", Model: "EC20F", Revision: "EC20CEFAGR06A05M4G"}
	if got := k.Summary().Identity; got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
