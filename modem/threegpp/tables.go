package threegpp

// prefixes is the dispatcher: one line adds a parser.
var prefixes = table{
	// TS 27.007 and TS 27.005
	{"+CREG", both, parseRegistration}, {"+CGREG", both, parseRegistration},
	{"+CEREG", both, parseRegistration}, {"+C5GREG", both, parseRegistration},
	{"+CPIN", both, parseCPIN},
	{"+CSQ", both, parseCSQ}, {"+CESQ", both, parseCESQ},
	{"+COPS", both, parseCOPS}, {"+CFUN", both, parseCFUN}, {"+CSCON", both, parseCSCON},
	{"+CGATT", answer, parseCGATT}, {"+CGACT", answer, parseCGACT}, {"+CGPADDR", answer, parseCGPADDR},
	{"+CGDCONT", answer, parseCGDCONT}, {"+CGEV", event, parseCGEV},
	{"+CNEC_MM", event, parseCNEC}, {"+CNEC_GMM", event, parseCNEC}, {"+CNEC_EMM", event, parseCNEC},
	{"+CNEC_ESM", event, parseCNEC}, {"+CNEC_5GMM", event, parseCNEC}, {"+CNEC_5GSM", event, parseCNEC},
	{"+CEER", answer, parseCEER}, {"+CLCK", answer, ignore}, {"+CPWD", answer, ignore},
	{"+CCLK", both, parseCCLK}, {"+CTZE", event, parseCTZE}, {"+CTZV", event, ignore}, {"+CTZU", answer, ignore},
	{"+CBC", both, parseCBC}, {"+CUSD", both, parseCUSD},
	{"+CMTI", event, parseCMTI}, {"+CMT", event, parseCMT}, {"+CDSI", event, ignore}, {"+CDS", event, ignore},
	{"+CPMS", answer, parseCPMS}, {"+CMGF", answer, ignore}, {"+CMEE", answer, ignore}, {"+CSCS", answer, ignore},
	{"+CSCA", answer, ignore}, {"+CNMI", answer, ignore}, {"+CGEREP", answer, ignore}, {"+CNEC", answer, ignore},
	{"+CPSMS", answer, parseCPSMS}, {"+CEDRXS", answer, ignore}, {"+CEDRXP", event, ignore}, {"+CPAS", answer, ignore},
	{"+CGCONTRDP", answer, ignore}, {"+GCAP", answer, ignore}, {"+CNUM", answer, ignore}, {"+CRSM", answer, ignore},
	{"+CCID", both, parseICCID}, {"+ICCID", both, parseICCID}, {"ICCID", answer, parseICCID}, {"CCID", answer, parseICCID},
	{"+CIEV", event, ignore}, {"RING", event, ignore}, {"+CRING", event, ignore}, {"+CLIP", event, ignore},

	// Quectel
	{"+QENG", answer, parseQENG}, {"+QCSQ", both, parseQCSQ}, {"+QNWINFO", answer, parseQNWINFO},
	{"+QLTS", answer, parseQLTS},
	{"+QRSRP", answer, parsePorts}, {"+QRSRQ", answer, parsePorts}, {"+QSINR", answer, parsePorts},
	{"+QIACT", answer, parseQIACT}, {"+QICSGP", answer, parseQICSGP}, {"+QIURC", event, parseQIURC},
	{"+QPING", result, parseQPING}, {"+QIOPEN", result, parseQIOPEN}, {"+QMTOPEN", result, parseQMTOPEN},
	{"+QMTCONN", result, parseQMTCONN}, {"+QHTTPGET", result, parseQHTTP}, {"+QHTTPPOST", result, parseQHTTP}, {"+QMTSTAT", event, ignore}, {"+QMTRECV", event, ignore},
	{"+QGDCNT", answer, parseQGDCNT}, {"+QSIMSTAT", both, parseQSIMSTAT}, {"+QSIMDET", answer, parseQSIMDET},
	{"+QINISTAT", answer, parseQINISTAT}, {"+QNWLOCK", answer, parseQNWLOCK}, {"+QCFG", answer, parseQCFG},
	{"+QNWPREFCFG", answer, parseQNWPREFCFG}, {"+QNWCFG", answer, parseQNWCFG}, {"+QTEMP", answer, parseQTEMP},
	{"+QIND", event, parseQIND}, {"+QUSIM", event, ignore}, {"+QCCID", answer, parseICCID}, {"+QSPN", answer, ignore},
	{"+IP", event, parseIPURC}, {"+QSTK", event, ignore}, {"+QURCCFG", answer, ignore}, {"+QUIMSLOT", answer, parseSlot}, {"+QDSIM", answer, parseSlot},

	// SIMCom, and the SIM800 stack that openLuat and Ai-Thinker copied
	{"+CPSI", both, parseCPSI}, {"+CNSMOD", both, parseCNSMOD}, {"+CNMP", answer, parseCNMP},
	{"+CMNB", answer, parseCMNB}, {"+CBANDCFG", answer, parseCBANDCFG}, {"+PDP", event, parsePDP},
	{"+PPPD", event, parsePPPD}, {"STATE", both, parseSTATE}, {"+CNACT", both, parseCNACT},
	{"+APP PDP", event, parseAppPDP}, {"+NETOPEN", result, parseNETOPEN}, {"+CPING", result, parseCPING},
	{"+CDNSGIP", result, parseCDNSGIP}, {"+HTTPACTION", result, parseHTTPACTION},
	{"+CMQTTCONNECT", result, parseCMQTTCONNECT}, {"+CIPOPEN", result, parseCIPOPEN},
	{"+CMQTTSTART", result, ignore}, {"+CMQTTCONNLOST", event, ignore}, {"+CIPCLOSE", result, ignore},
	{"+CIPEVENT", event, parseCIPEVENT}, {"+CPMUTEMP", answer, parseTemperature}, {"+CMTE", both, parseCMTE},
	{"+PACSP", event, ignore}, {"*PSUTTZ", event, parsePSUTTZ}, {"*PSNWID", event, ignore}, {"DST", event, ignore},
	{"+SIMCROSS", answer, parseSlot}, {"+SPIC", answer, ignore}, {"+CICCID", answer, parseICCID},

	// openLuat, ASR and UNISOC firmware
	{"+NITZ", event, parseNITZ}, {"+EEMLTESVC", both, parseEEMLTESVC}, {"+EEMGINFO", answer, ignore},
	{"+EEMLTEINTRA", event, ignore}, {"+EEMLTEINTER", event, ignore}, {"+EEMLTEINTERRAT", event, ignore},
	{"*BANDIND", both, parseBANDIND}, {"+CSDT", answer, parseCSDT}, {"*ATREADY", event, restarted}, {"+MATREADY", event, restarted}, {"+SIM", event, ignore}, {"*COPN", answer, ignore}, {"*CGDFLT", both, ignore},

	// Huawei and HiSilicon
	{"^SYSINFOEX", answer, parseSYSINFOEX}, {"^SYSINFO", answer, parseSYSINFO}, {"^MODE", event, parseMODE},
	{"^SRVST", both, parseSRVST}, {"^HCSQ", both, parseHCSQ}, {"^REJINFO", event, parseREJINFO},
	{"^NDISSTAT", both, parseNDISSTAT}, {"^NDISSTATQRY", answer, parseNDISSTAT}, {"^DSFLOWQRY", answer, parseDSFLOW},
	{"^DSFLOWRPT", event, parseDSFLOW}, {"^SYSCFGEX", answer, parseSYSCFGEX}, {"^NWTIME", event, parseNWTIME},
	{"^ICCID", answer, parseICCID}, {"^RSSI", event, ignore}, {"^SIMST", event, parseSIMST}, {"^STIN", event, ignore},
	{"^CURC", answer, ignore}, {"^BOOT", event, ignore}, {"^NWNAME", event, ignore},

	// Nordic and Altair
	{"%XSIM", both, parseXSIM}, {"%MDMEV", event, parseMDMEV}, {"%XMONITOR", answer, parseXMONITOR},
	{"%CESQ", event, parseNordicCESQ}, {"%XSYSTEMMODE", answer, parseXSYSTEMMODE}, {"%PCOINFO", both, parsePCO},
	{"%XPCO", event, parsePCO}, {"%XICCID", answer, parseICCID}, {"+NCCID", answer, parseICCID}, {"%XTEMP", both, parseXTEMP},
	{"%XVBAT", answer, parseXVBAT}, {"%XTIME", event, ignore}, {"%XCBAND", answer, ignore},

	// u-blox
	{"+URAT", answer, parseURAT}, {"+USORF", answer, parseUSORF}, {"+USOST", answer, ignore},
	{"+UDNSRN", answer, parseUDNSRN}, {"+UUPSDD", event, parseUUPSDD}, {"+UMNOPROF", answer, ignore},
	{"+UUSORF", event, ignore}, {"+UUSORD", event, ignore}, {"+UUSOCL", event, ignore}, {"+UUPSDA", event, ignore},
	{"+USOCR", answer, ignore},

	// Telit
	{"#CEERNET", answer, parseCEERNET}, {"#CEER", answer, parseTelitCEER}, {"#QSS", both, parseQSS},
	{"#RFSTS", answer, parseRFSTS}, {"#TEMPMON", both, parseTEMPMON}, {"#TEMPMEAS", both, parseTEMPMON},
	{"#CCID", answer, parseICCID}, {"#BND", answer, ignore}, // masks, with a base that differs by family

	// Smaller dialects: Cinterion, Neoway, Fibocom, ZTE, SIM800, SIM7080, Intel
	{"^SMONI", answer, parseSMONI}, {"+RSRP", answer, levelAt(2, -1)}, {"^LTERSRP", answer, levelAt(0, 1)},
	{"+XCESQ", answer, parseXCESQ}, {"+UPSND", answer, parseUPSND}, {"+IPADDR", answer, session(-1, -1, 0, 1)},
	{"+SAPBR", answer, session(0, 1, 2, 1)}, {"#SGACT", answer, session(0, 1, -1, 1)}, {"+XIIC", answer, session(-1, 0, 1, 1)},
	{"+MIPCALL", both, parseMIPCALL}, {"+GTRNDIS", answer, session(1, 0, 2, 1)}, {"$MYNETACT", both, session(0, 1, 2, 1)},
	{"+ZIPCALL", both, session(-1, 0, 1, 1)}, {"+KCNX_IND", event, parseKCNXIND},
	{"+CIPPING", answer, echo(1, 2, 600)}, {"#PING", answer, echo(1, 2, 600)}, {"+SNPING4", result, echo(1, 3, 60000)},
	{"+UUPING", event, echo(3, 5, 1<<30)}, {"+UUPINGER", event, parseUUPINGER},
	{"+CAOPEN", both, opened(1)}, {"+UUSOCO", event, opened(1)},
	{"+SIMCARD", event, parseSIMCARD}, {"+ZPAS", both, parseZPAS}, {"+ZPASR", event, parseZPAS}, {"^CPIN", answer, parseHuaweiCPIN},
	{"+QIGETERROR", answer, ignore}, {"+RSRQ", answer, ignore}, {"+CGAUTH", answer, shownCredentials}, {"+WPPP", answer, shownCredentials}, {"^SGAUTH", answer, shownCredentials},
	{"^AUTHDATA", answer, shownCredentials}, {"#PDPAUTH", answer, shownCredentials}, {"+UAUTHREQ", answer, shownCredentials}, {"+XGAUTH", answer, shownCredentials},
	{"+CNCFG", answer, shownCredentials}, {"+KCNXCFG", answer, shownCredentials}, {"$QCPDPP", answer, shownCredentials}, {"+ZGPCOAUTH", answer, shownCredentials},

	// Motorola
	{"+MDSI", event, parseMDSI}, {"+EMPC", answer, ignore},

	// Sierra
	{"+ETEMP", answer, parseTemperature}, {"+KSUP", event, restarted}, {"+WDSI", event, ignore},
	{"!SELRAT", answer, parseSELRAT}, {"!UIMS", answer, parseSlot}, {"+KCELLMEAS", answer, parseKCELLMEAS},

	// Cinterion, Fibocom, ZTE
	{"^SIND", both, ignore}, {"^SIS", both, parseSIS}, {"^SBC", event, byWords}, {"+GTDUALSIM", answer, parseSlot}, {"+ZUSIMR", event, ignore}, {"+ZEND", event, ignore}, {"+GTSENRDTEMP", answer, parseGTSENRDTEMP}, {"+ZCELLINFO", answer, parseZCELLINFO},
}

// banners are whole lines without a prefix.
var banners = table{
	{"RDY", event, restarted}, {"APP RDY", event, restarted}, {"^SYSSTART", event, restarted}, {"SYSSTART", event, restarted}, {"Neul", event, restarted}, {"REBOOTING", event, ignore}, {"+SYSSTART", event, restarted}, {"AT Ready", event, restarted},
	{"NORMAL POWER DOWN", event, poweredOff}, {"POWERED DOWN", event, poweredOff},
	{"SMS DONE", event, ignore}, {"PB DONE", event, ignore}, {"SMS Ready", event, ignore}, {"SMS READY", event, ignore}, {"Call Ready", event, ignore},
	{"PB READY", event, ignore}, {"+PBREADY", event, restarted}, {"+MATREADY", event, restarted}, {"+SIM READY", event, simReadyBanner}, {"+SIM DROP", event, simDropBanner},
	{"RING", event, ignore},
	{"+NO Service", event, serviceBanner(CampNoService, "")},
	{"+E_UTRAN Service", event, serviceBanner(CampOnline, "lte")},
	{"+UTRAN Service", event, serviceBanner(CampOnline, "umts")},
	{"+GPRS Service", event, serviceBanner(CampOnline, "gsm")},
	{"+GSM Service", event, serviceBanner(CampOnline, "gsm")},
	{"+NR Service", event, serviceBanner(CampOnline, "nr")},
	{"CONNECT OK", event, socketBanner}, {"CONNECT FAIL", event, socketBanner}, {"CLOSED", event, socketBanner}, {"CONNECT ERROR", event, socketBanner}, {"CONNACK OK", event, socketBanner},
	{"ALREADY CONNECT", event, ignore},
	{"UNDER-VOLTAGE WARNNING", event, alarm("undervoltage")}, // as SIMCom spells it
	{"UNDER-VOLTAGE WARNING", event, alarm("undervoltage")},
	{"UNDER-VOLTAGE POWER DOWN", event, alarm("undervoltage")},
	{"OVER-VOLTAGE WARNNING", event, alarm("overvoltage")},
	{"OVER-VOLTAGE WARNING", event, alarm("overvoltage")},
	{"OVER-VOLTAGE POWER DOWN", event, alarm("overvoltage")},
	{"OVER-TEMPERATURE WARNNING", event, alarm("overheated")}, {"OVER-TEMPERATURE POWER DOWN", event, alarm("overheated")},
}

// manyLines are the commands that answer with several lines of one prefix, of a
// prefix that is also a URC.
var manyLines = map[string]bool{"+CNACT": true, "+EEMGINFO": true}

// answersSets are the commands whose set form is answered with their own
// prefix, which is also a URC.
var answersSets = map[string]bool{"+CIPSTATUS": true, "+CIPSTART": true, "+CMTE": true, "%XTEMP": true, "%PCOINFO": true}

// blocks are the commands that answer in lines without a prefix of their own,
// or whose lines only mean something together.
var blocks = map[string]func(c *subcommand, lines []string) []Fact{
	"+CIMI": imsiBlock, "+CGSN": imeiBlock, "+GSN": imeiBlock, "+EGMR": imeiBlock,
	"+CCID": iccidBlock, "+ICCID": iccidBlock, "+QCCID": iccidBlock, "^ICCID": iccidBlock,
	"+CICCID": iccidBlock, "%XICCID": iccidBlock, "#CCID": iccidBlock, "+NCCID": iccidBlock,
	"I": identityBlock, "+CGMI": identityBlock, "+CGMM": identityBlock, "+CGMR": identityBlock,
	"+GMI": identityBlock, "+GMM": identityBlock, "+GMR": identityBlock,
	"+CIFSR": addressBlock, "+CMGR": smsBlock, "+CMGL": smsBlock, "!GSTATUS": gstatusBlock, "!PCINFO": pcinfoBlock, "!BAND": bandBlock, "+GTCCINFO": gtccinfoBlock, "+NUESTATS": nuestatsBlock,
}

// blockOf is the block parser of a command, nil when it has none. A test
// command lists what is possible and is none, except the scan.
func blockOf(c *subcommand) func(*subcommand, []string) []Fact {
	if c.op == "=?" {
		if c.name == "+COPS" {
			return scanBlock
		}
		return nil
	}
	return blocks[c.name]
}
