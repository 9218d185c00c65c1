package threegpp

import (
	"reflect"
	"testing"
)

// TestCauseTables compares the file with the counts of the reference tables
// (reference/causes.yaml of 2026-11-22) and looks at codes that matter.
func TestCauseTables(t *testing.T) {
	want := map[Protocol]int{EMM: 41, ESM: 48, GMM: 32, MM: 28, SM: 44, FiveGMM: 50, FiveGSM: 47, CME: 163, CMS: 73}
	got := map[Protocol]int{}
	seen := map[RejectCause]bool{}
	eachRow(func(r causeRow) bool {
		info := r.info()
		got[info.Cause.Protocol]++
		if seen[info.Cause] {
			t.Errorf("%s twice", info.Cause)
		}
		seen[info.Cause] = true
		if info.Name == "" {
			t.Errorf("%s has no name", info.Cause)
		}
		for _, n := range info.NAS {
			if _, ok := LookUp(n); !ok {
				t.Errorf("%s stands for %s, which is in no table", info.Cause, n)
			}
		}
		return true
	})
	if !reflect.DeepEqual(got, want) {
		t.Errorf("rows per table %v, want %v", got, want)
	}
	if n := len(causesTSV); n >= 30_000 {
		t.Errorf("causes.tsv is %d bytes, the limit is 30000", n)
	}
}

func TestLookUp(t *testing.T) {
	tests := []struct {
		cause RejectCause
		name  string
	}{
		{RejectCause{EMM, 8}, "EPS services and non-EPS services not allowed"},
		{RejectCause{ESM, 8}, "Operator determined barring"},
		{RejectCause{ESM, 33}, "Requested service option not subscribed"},
		{RejectCause{EMM, 11}, "PLMN not allowed"},
		{RejectCause{EMM, 22}, "Congestion"},
		{RejectCause{GMM, 55}, "Retry upon entry into a new cell (48 to 63)"},
		{RejectCause{CME, 30}, "no network service"},
		{RejectCause{CMS, 28}, "unidentified subscriber"},
		{RejectCause{FiveGMM, 7}, "5GS services not allowed"},
	}
	for _, tt := range tests {
		info, ok := LookUp(tt.cause)
		if !ok || info.Cause != tt.cause || info.Name != tt.name {
			t.Errorf("LookUp(%s) = %+v, %t", tt.cause, info, ok)
		}
	}
	info, _ := LookUp(RejectCause{CME, 133})
	if want := []RejectCause{{ESM, 33}, {SM, 33}, {MM, 33}, {FiveGSM, 33}}; !reflect.DeepEqual(info.NAS, want) {
		t.Errorf("CME 133 stands for %v, want %v", info.NAS, want)
	}
	for _, none := range []RejectCause{{}, {EMM, 250}, {PrivateCause, 3}, {ESM, 50000}, {EMM, 55}, {GMM, 64}, {"emm\t2", 3}} {
		if info, ok := LookUp(none); ok {
			t.Errorf("LookUp(%v) = %+v, want none", none, info)
		}
	}
}

func TestCausesByText(t *testing.T) {
	tests := []struct {
		device, text string
		want         []RejectCause
	}{
		{"Qualcomm", "Requested service option not subscribed", []RejectCause{{ESM, 33}, {MM, 33}, {SM, 33}, {FiveGSM, 33}}},
		{"HL7539", `"EMM reject",19,"ESM failure"`, []RejectCause{{EMM, 19}}},
		{"SIM7670G", "EMM_CAUSE_ESM_FAILURE", []RejectCause{{EMM, 19}}},
		{"A7672S", "PLMN not allowed (#11)", []RejectCause{{EMM, 11}, {GMM, 11}, {MM, 11}, {FiveGMM, 11}}},
		{"u-blox", `"ESM cause",27,"Missing or unknown APN"`, []RejectCause{{ESM, 27}}},
		{"longest name wins", "GPRS services and non-GPRS services not allowed", []RejectCause{{GMM, 8}}},
		{"a category picks the table", "SM: operator determined barring", []RejectCause{{SM, 8}}},
		{"no name", "something went wrong", nil},
		{"a number without a category", "12", nil},
		{"nothing to report", `"SM detach",0,"No cause information available"`, nil},
		{"empty", "", nil},
		{"part of a word", "recongestioned", nil},
	}
	for _, tt := range tests {
		if got := CausesByText(tt.text); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: CausesByText(%q) = %v, want %v", tt.device, tt.text, got, tt.want)
		}
	}
}

func TestExtendedErrorReports(t *testing.T) {
	neutral := func(text string) Fact { return ExtendedError{Text: text, Neutral: true} }
	runReplies(t, []asked{
		{"HL7539", "AT+CEER", []string{`+CEER: "EMM reject",19,"ESM failure"`}, []Fact{
			ExtendedError{Text: "EMM reject,19,ESM failure"},
			Reject{Cause: RejectCause{EMM, 19}, Text: "EMM reject,19,ESM failure", Source: "+CEER"}}},
		{"Qualcomm", "AT+CEER", []string{"+CEER: Requested service option not subscribed"}, []Fact{
			ExtendedError{Text: "Requested service option not subscribed"},
			Reject{Cause: RejectCause{ESM, 33}, Procedure: "session", Text: "Requested service option not subscribed", Source: "+CEER"}}},
		{"SARA-G350", "AT+CEER", []string{`+CEER: "No report available",0,"No cause information available"`}, []Fact{neutral("No report available,0,No cause information available")}},
		{"EHS6", "AT+CEER", []string{`+CEER: "SM detach",0,"No cause information available"`}, []Fact{neutral("SM detach,0,No cause information available")}},
		{"MC55", "AT+CEER", []string{"+CEER: 0,0,0"}, []Fact{neutral("0,0,0")}},
		{"27.007", "AT+CEER", []string{"+CEER: Normal, unspecified"}, []Fact{neutral("Normal, unspecified")}},
		{"unknown words", "AT+CEER", []string{"+CEER: Client ended call"}, []Fact{ExtendedError{Text: "Client ended call"}}},
		{"detach", "AT+CEER", []string{`+CEER: "EMM detach",7,"EPS services not allowed"`}, []Fact{
			ExtendedError{Text: "EMM detach,7,EPS services not allowed"},
			Reject{Cause: RejectCause{EMM, 7}, Procedure: "detach", Text: "EMM detach,7,EPS services not allowed", Source: "+CEER"}}},
		{"LE910", "AT#CEERNET", []string{"#CEERNET: 15"}, []Fact{Reject{Cause: RejectCause{EMM, 15}, Procedure: "attach", Source: "#CEERNET"}}},
		{"LE910 session", "AT#CEERNET", []string{"#CEERNET: 33"}, []Fact{Reject{Cause: RejectCause{ESM, 33}, Procedure: "session", Source: "#CEERNET"}}},
		{"LE910 nothing", "AT#CEERNET", []string{"#CEERNET: 0"}, []Fact{neutral("#CEERNET: 0")}},
	})
	reject := func(p Protocol, n int, procedure, text string) Reject {
		return Reject{Cause: RejectCause{p, n}, Procedure: procedure, Text: text, Source: "^REJINFO", PLMN: "46001"}
	}
	runURCs(t, []heard{
		{"nRF9160", "+CNEC_EMM: 8", []Fact{Reject{Cause: RejectCause{EMM, 8}, Source: "+CNEC_EMM"}}},
		{"nRF9151", "+CNEC_ESM: 50,0", []Fact{Reject{Cause: RejectCause{ESM, 50}, Procedure: "session", Source: "+CNEC_ESM"}}},
		{"ME909 network detach", `^REJINFO:46001,1,7,2,3,7,"1A2B","FF","0A31C502"`, []Fact{
			reject(EMM, 7, "detach", `46001,1,7,2,3,7,"1A2B","FF","0A31C502"`)}},
		{"ME909 attach with ESM cause", `^REJINFO: 46001,1,19,2,4,19,"1A2B","FF","0A31C502",33`, []Fact{
			reject(EMM, 19, "attach", `46001,1,19,2,4,19,"1A2B","FF","0A31C502",33`),
			reject(ESM, 33, "session", `46001,1,19,2,4,19,"1A2B","FF","0A31C502",33`)}},
		{"ME909 on UMTS", `^REJINFO: 46001,0,2,1,0,2,"1A2B","FF","0A31C502"`, []Fact{
			reject(MM, 2, "location_update", `46001,0,2,1,0,2,"1A2B","FF","0A31C502"`)}},
		{"ME909 own number", `^REJINFO: 46001,1,256,2,4,256,"1A2B","FF","0A31C502"`, []Fact{
			reject(PrivateCause, 256, "attach", `46001,1,256,2,4,256,"1A2B","FF","0A31C502"`)}},
		{"G24", "+MDSI: 1,7", []Fact{Reject{Cause: RejectCause{GMM, 7}, Text: "+MDSI: 1,7", Source: "+MDSI"}}},
	})
}
