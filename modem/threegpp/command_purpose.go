package threegpp

import "strings"

// Purpose says what a command is for, as far as its answer, its refusal or its
// silence is evidence of something beyond its words.
type Purpose uint16

// Purposes. A command may have several; most have none.
const (
	// AnsweredAtOnce: a modem that lives answers it at once; it waits for no network.
	AnsweredAtOnce Purpose = 1 << iota
	// ReadsIMSI and ReadsICCID read the card itself.
	ReadsIMSI
	ReadsICCID
	// Attaches asks the network to take the modem in. Its OK is no session.
	Attaches
	// OpensSession asks for a session; its OK says that one stands.
	OpensSession
	// StartsSession asks for a session and its OK says only that the dial has
	// begun: the result comes later, unsolicited.
	StartsSession
	// Connects opens a connection of the module's own IP stack.
	Connects
)

// Has reports whether p has any of the given purposes.
func (p Purpose) Has(any Purpose) bool { return p&any != 0 }

// AsksNetwork reports whether a refusal of the command speaks of the network.
func (p Purpose) AsksNetwork() bool { return p.Has(Attaches | OpensSession | StartsSession) }

// purposes by how the command begins, in upper case and without AT and spaces.
// Sources: TS 27.007 §7.3, §10.1.9, §10.1.10; the vendors' TCP/IP manuals:
// Quectel (+Q...), SIMCom (+CIP..., +CA..., +NETOPEN), Telit (#...), Cinterion
// (^S...), u-blox (+U...), Sierra (+K...), Neoway (+XIIC, $MYNETACT), Fibocom
// (+MIP..., +GTRNDIS), Huawei (^NDISDUP), ZTE (+ZIPCALL, +ZGACT), HiSilicon NB
// (+NS...), GosunCn (+ZECMCALL), Ericsson (*ENAP), MeiG (+ECMDUP), Intel (+XDATACHANNEL).
var purposes = []struct {
	begins string
	is     Purpose
}{
	{"+CGACT=1", OpensSession}, {"+CGDATA=", OpensSession}, {"+QIACT", OpensSession}, {"+CIICR", OpensSession},
	{"D*99", OpensSession}, {"DT*99", OpensSession}, {"DP*99", OpensSession}, {"D*98", OpensSession}, {"DT99", OpensSession},
	{"+CNACT=1", OpensSession}, {"+CNACT=0,1", OpensSession}, {"+GTRNDIS=1", OpensSession}, {"+UPSDA=0,3", OpensSession},
	{"#SGACT=1,1", OpensSession}, {"+QNETDEVCTL=1", OpensSession}, {"+SAPBR=1,", OpensSession},
	{"^NDISDUP=1,1", StartsSession}, {"+NETOPEN", StartsSession}, {"+XIIC=1", StartsSession}, {"+MIPCALL=1", StartsSession},
	{"$QCRMCALL=1,1", StartsSession}, {"$MYNETACT=", StartsSession}, {"+KCNXUP=", StartsSession}, {"+ZIPCALL=1", StartsSession},
	{"+ZGACT=1", StartsSession}, {"+ZECMCALL=1", StartsSession}, {"*ENAP=1", StartsSession}, {"^SICA=1", StartsSession}, {"!SCACT=1", StartsSession},
	{"+ECMDUP=1", StartsSession}, {"+XDATACHANNEL=1", StartsSession},
	{"+CGATT=1", Attaches}, {"+COPS=0", Attaches}, {"+COPS=1", Attaches},

	{"+QIOPEN", Connects}, {"+QSSLOPEN", Connects}, {"+QMTOPEN", Connects}, {"+QHTTPGET", Connects}, {"+QHTTPPOST", Connects},
	{"+CIPSTART", Connects}, {"+CIPOPEN", Connects}, {"+CAOPEN", Connects}, {"+CHTTPSOPSE", Connects}, {"+HTTPACTION", Connects},
	{"+CMQTTCONNECT", Connects}, {"+SMCONN", Connects}, {"+USOCO", Connects}, {"#SD", Connects}, {"#SSLD", Connects},
	{"^SISO", Connects}, {"+MIPOPEN", Connects}, {"+MIPSTART", Connects}, {"+KTCPCNX", Connects}, {"+NSOCO", Connects},

	{"+CIMI", ReadsIMSI | AnsweredAtOnce}, {"+CCID", ReadsICCID}, {"+QCCID", ReadsICCID}, {"+ICCID", ReadsICCID}, {"^ICCID", ReadsICCID},
	{"+CSQ", AnsweredAtOnce}, {"+CESQ", AnsweredAtOnce}, {"+CGSN", AnsweredAtOnce}, {"+GSN", AnsweredAtOnce},
	{"+CGMI", AnsweredAtOnce}, {"+CGMM", AnsweredAtOnce}, {"+CGMR", AnsweredAtOnce},
}

// PurposeOf is what a command, with or without AT, is for. Of several on one
// line each counts.
func PurposeOf(command string) Purpose {
	var p Purpose
	for _, c := range parseCommand(command) {
		p |= c.purpose()
	}
	return p
}

func (c subcommand) purpose() Purpose {
	switch {
	case c.op == "=?":
		return 0 // asks what the command could do
	case c.name == "AT" || c.raw == "E0" || c.raw == "I":
		return AnsweredAtOnce
	}
	var p Purpose
	if c.op == "?" {
		p = AnsweredAtOnce
	}
	text := strings.ToUpper(strings.ReplaceAll(c.raw, " ", ""))
	for _, row := range purposes {
		after, begins := strings.CutPrefix(text, row.begins)
		last := row.begins[len(row.begins)-1]
		if begins && (!isLetter(last) || after == "" || !isLetter(after[0])) && (c.op != "?" || row.is.Has(ReadsIMSI|ReadsICCID)) {
			p |= row.is
		}
	}
	return p
}

// ReadBack reports whether source answers with the last cause on record, which
// may be older than a success that followed it.
func ReadBack(source string) bool {
	return source == "+CEER" || source == "#CEERNET" || source == "#CEER"
}

// UsableAddress applies the rule of a session's address: empty, all-zero and
// link-local ones carry nothing; private ranges are normal behind the
// operator's address translation.
func UsableAddress(a string) bool {
	a = strings.Trim(a, `" `)
	if a == "" || strings.HasPrefix(a, "169.254.") {
		return false
	}
	return strings.Trim(a, "0.:") != ""
}
