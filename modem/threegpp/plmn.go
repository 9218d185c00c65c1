package threegpp

// threeDigitMNC are the countries whose networks have an MNC of three digits
// (ITU-T E.212 list): North America, the Caribbean and parts of Latin America.
// 405 and 732 are mixed and handled apart.
var threeDigitMNC = map[string]bool{
	"302": true,                                                                               // Canada
	"310": true, "311": true, "312": true, "313": true, "314": true, "315": true, "316": true, // USA
	"334": true,              // Mexico
	"338": true,              // Jamaica
	"342": true,              // Barbados
	"344": true,              // Antigua and Barbuda
	"346": true,              // Cayman Islands
	"348": true,              // British Virgin Islands
	"350": true,              // Bermuda
	"352": true,              // Grenada
	"354": true, "356": true, // Montserrat, Saint Kitts and Nevis
	"358": true, "360": true, // Saint Lucia, Saint Vincent
	"365": true, "366": true, // Anguilla, Dominica
	"376": true, // Turks and Caicos
	"708": true, // Honduras
	"722": true, // Argentina
	"732": true, // Colombia
	"738": true, // Guyana
	"750": true, // Falkland Islands
}

// HomePLMN is the network that issued a card: the MCC and the MNC of two or
// three digits of its IMSI. "" when imsi is too short or no number.
func HomePLMN(imsi string) string {
	if len(imsi) < 6 || !digitsOnly(imsi) {
		return ""
	}
	mcc := imsi[:3]
	// India's 405 has three digits from 405 750 on (Vi, Jio, Aircel), two below.
	if threeDigitMNC[mcc] || mcc == "405" && imsi[3:6] >= "750" {
		return imsi[:6]
	}
	return imsi[:5]
}

// operatorOf joins the network codes of one operator that a card of it counts
// as home: China's three and the broadcaster (ITU-T E.212, MIIT allocations as
// of 2026-11). 460 15 shares China Mobile's 700 MHz network but is an operator
// of its own.
var operatorOf = map[string]string{
	"46000": "cmcc", "46002": "cmcc", "46004": "cmcc", "46007": "cmcc", "46008": "cmcc", "46013": "cmcc",
	"46001": "unicom", "46006": "unicom", "46009": "unicom", "46010": "unicom",
	"46003": "telecom", "46005": "telecom", "46011": "telecom", "46012": "telecom",
	"46015": "broadnet",
}

// SameOperator reports whether two network codes belong to one operator.
// Unknown codes are the same only when they are equal; "" is no operator.
func SameOperator(a, b string) bool {
	if a == "" || b == "" {
		return false
	}
	if a == b {
		return true
	}
	group := operatorOf[a]
	return group != "" && group == operatorOf[b]
}
