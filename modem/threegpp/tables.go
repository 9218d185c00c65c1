package threegpp

// prefixes is the dispatcher: one line adds a parser.
var prefixes = map[string]entry{
	// TS 27.007, TS 27.005
	"+CREG":    {both, parseRegistration},
	"+CGREG":   {both, parseRegistration},
	"+CEREG":   {both, parseRegistration},
	"+C5GREG":  {both, parseRegistration},
	"+CPIN":    {both, parseCPIN},
	"+CSQ":     {both, parseCSQ},
	"+CESQ":    {both, parseCESQ},
	"+COPS":    {both, parseCOPS},
	"+CFUN":    {both, parseCFUN},
	"+CSCON":   {both, parseCSCON},
	"+CGATT":   {both, parseCGATT},
	"+CGACT":   {answer, parseCGACT},
	"+CGPADDR": {answer, parseCGPADDR},
	"+CGDCONT": {answer, parseCGDCONT},
	"+CGEV":    {event, parseCGEV},
	"+CNEC_MM": {event, parseCNEC}, "+CNEC_GMM": {event, parseCNEC}, "+CNEC_EMM": {event, parseCNEC},
	"+CNEC_ESM": {event, parseCNEC}, "+CNEC_5GMM": {event, parseCNEC}, "+CNEC_5GSM": {event, parseCNEC},
	"+CEER": {answer, parseCEER},
}

// banners are whole lines without a prefix.
var banners = map[string]parser{
	"RDY":     restarted,
	"APP RDY": restarted,
}

// manyLines are the commands that are answered with several lines of one prefix.
var manyLines = map[string]bool{}

// answersSets are the commands whose set form is answered with their own prefix.
var answersSets = map[string]bool{}

// blocks are the commands that answer in lines without a prefix of their own,
// or whose lines only mean something together.
var blocks = map[string]func(c *subcommand, lines []string) []Fact{}
