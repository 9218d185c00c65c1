package record

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"cellwarden/agent/carrier"
	"cellwarden/agent/diag"
	"cellwarden/agent/instant"
	"cellwarden/modem/threegpp"
)

// A message is replaced by a sentence, so the sentence must mean the same.
func TestSentenceMeansTheSame(t *testing.T) {
	for meaning, text := range sentence {
		if got := carrier.Classify("", text); got != meaning {
			t.Errorf("%q means %s, want %s", text, got, meaning)
		}
	}
}

func hash(s string) string {
	if s == "" {
		return ""
	}
	return "h" + fmt.Sprint(len(s), s[len(s)-1:])
}

func TestNoIdentityIsKept(t *testing.T) {
	var r Ring
	const imsi, iccid, imei, phone = "460001234567890", "89860012345678901234", "861234567890123", "13812345678"
	for _, f := range []any{threegpp.IMSI{Value: imsi}, threegpp.ICCID{Value: iccid}, threegpp.IMEI{Value: imei},
		threegpp.SMS{From: phone, Text: "张先生，您的号码" + phone + "已停机"}, threegpp.USSD{Text: "号码" + phone + "余额"},
		threegpp.Unparsed{Line: "^X: " + imsi}, threegpp.ContextConfig{CID: 1, APN: "cmiot", AuthHash: "cafe0123"}} {
		if err := r.Add(Mask(diag.Observation{Source: "at:X", Fact: f}, hash)); err != nil {
			t.Fatal(err)
		}
	}
	out, err := json.Marshal(r.Export())
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{imsi, imsi[5:], iccid, imei, phone, "张先生", "cafe0123"} {
		if strings.Contains(string(out), secret) {
			t.Errorf("%s is in the export: %s", secret, out)
		}
	}
	if !strings.Contains(string(out), "4600000000") || !strings.Contains(string(out), "cmiot") {
		t.Errorf("the home network or the APN is lost: %s", out)
	}
}

// Every kind survives a round, with every field filled.
func TestFactsSurviveARound(t *testing.T) {
	for kind, typ := range kinds {
		v := reflect.New(typ).Elem()
		fill(v)
		f, err := encode("at:X", v.Interface())
		if err != nil {
			t.Fatal(err)
		}
		got, err := f.Decode()
		if err != nil || f.Kind != kind || !reflect.DeepEqual(got, v.Interface()) {
			t.Errorf("%s: %#v became %#v, %v", kind, v.Interface(), got, err)
		}
	}
	if _, err := (Fact{Kind: "weather"}).Decode(); err == nil {
		t.Error("an unknown kind is accepted")
	}
	if _, err := (Fact{Kind: "sim", Value: json.RawMessage(`{"State":7}`)}).Decode(); err == nil {
		t.Error("a value of another type is accepted")
	}
}

func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString("x")
	case reflect.Int, reflect.Int64:
		v.SetInt(-7)
	case reflect.Uint64:
		v.SetUint(1 << 60)
	case reflect.Float64:
		v.SetFloat(-93.5)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Struct:
		if v.Type() == reflect.TypeOf(time.Time{}) {
			v.Set(reflect.ValueOf(time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)))
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	}
}

// However long it runs, and whatever the line is filled with, the ring stays in
// its bound and keeps what happened once.
func TestRingStaysInItsBound(t *testing.T) {
	r := Ring{Max: 64 << 10}
	at := instant.Instant{Boot: "b", Wall: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), Trusted: true}
	add := func(source string, fact any) {
		if err := r.Add(diag.Observation{At: at, Source: source, Fact: fact}); err != nil {
			t.Fatal(err)
		}
		if r.Bytes() > 64<<10 {
			t.Fatalf("%d bytes at %v", r.Bytes(), at.Mono)
		}
	}
	add("urc:+CEREG", threegpp.Reject{Cause: threegpp.RejectCause{Protocol: threegpp.EMM, Number: 8}})
	for i := range 100_000 {
		at = at.Add(10 * time.Second)
		rsrp := float64(-80 - i%7)
		add("at:+CESQ", threegpp.Signal{RSRP: &rsrp, Source: "+CESQ"})
		add("at:+CPIN", threegpp.SIM{State: threegpp.SIMReady})
		if i%5 == 0 { // garbage makes a stream each
			add(fmt.Sprint("urc:", i), threegpp.Unparsed{Line: fmt.Sprint("noise ", i)})
		}
	}
	if len(r.streams) > 2000 {
		t.Errorf("%d streams are remembered", len(r.streams))
	}
	if e := r.Export(); e[0].Clock == nil || e[1].Fact == nil {
		t.Errorf("the export begins with %+v", e[0])
	}
	t.Logf("%d entries, %d bytes, %d thinned out, %d streams", len(r.entries), r.Bytes(), r.Dropped(), len(r.streams))
}

func TestStampFollowsAStepAndIgnoresSlew(t *testing.T) {
	var s Stamper
	base := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	a := s.Stamp(instant.Instant{Mono: time.Second + 17, Wall: base, Trusted: true})
	b := s.Stamp(instant.Instant{Mono: 2*time.Second + 17, Wall: base.Add(time.Second + 3*time.Millisecond), Trusted: true})
	if got := b.Wall.Sub(a.Wall); got != time.Second || a.Mono != time.Second {
		t.Errorf("slewed: wall moved %v, mono %v", got, a.Mono)
	}
	c := s.Stamp(instant.Instant{Mono: 3 * time.Second, Wall: base.Add(time.Hour), Trusted: true})
	if c.Wall.Sub(base.Add(time.Hour)).Abs() > time.Millisecond {
		t.Errorf("after a step: %v", c.Wall)
	}
}

func BenchmarkAdd(b *testing.B) {
	var r Ring
	rsrp := -90.0
	at := instant.Instant{Wall: time.Unix(1, 0)}
	b.ReportAllocs()
	for i := range b.N {
		rsrp = float64(-90 - i%5)
		at.Mono += time.Second
		if err := r.Add(diag.Observation{At: at, Source: "at:+CESQ", Fact: threegpp.Signal{RSRP: &rsrp, Source: "+CESQ"}}); err != nil {
			b.Fatal(err)
		}
	}
}
