package evadts

// Limits of one audit. A machine's largest is some 30 KB; what is larger is a
// flood or no audit.
const (
	MaxBytes    = 64 << 10 // of the whole audit
	MaxSegments = 2000     // of the whole audit
	MaxSegment  = 1 << 10  // bytes of one segment, its line end not counted
	MaxFindings = 100      // of one audit; what a reader needs stands in the first ones
)

// G85 says how the audit's own checksum fits (EVA-DTS 6.2 §2.2).
type G85 string

// The known forms of G85. Swapped (allowed before 6.0) and no_last_crlf (two N&W
// Kikko boards) prove the text as well as ok does.
const (
	G85OK         G85 = "ok"
	G85Swapped    G85 = "swapped"
	G85NoLastCRLF G85 = "no_last_crlf"
	G85Mismatch   G85 = "mismatch"
	G85Missing    G85 = "missing"
)

// Fits reports whether the checksum proves the text.
func (g G85) Fits() bool { return g == G85OK || g == G85Swapped || g == G85NoLastCRLF }

// Totals are one kind of sale. Since initialisation they only grow; those since
// the last reset fall to zero whenever somebody reads, so nobody sums them.
type Totals struct {
	Value      Num `json:"value"`       // minor units since initialisation
	Count      Num `json:"count"`       // vends since initialisation
	ValueReset Num `json:"value_reset"` // minor units since the last reset
	CountReset Num `json:"count_reset"` // vends since the last reset
}

// add sums both, element by element.
func (t Totals) add(u Totals) Totals {
	return Totals{t.Value.Add(u.Value), t.Count.Add(u.Count), t.ValueReset.Add(u.ValueReset), t.CountReset.Add(u.CountReset)}
}

// Sales are all paid vends of the machine.
type Sales struct {
	Totals
	From     string `json:"from,omitempty"` // the segment that says so: VA1, or PA2, PA7, LA1 where it is absent
	Discount Num    `json:"discount"`       // VA105, minor units since initialisation
	Test     Totals `json:"test"`           // VA2
	Free     Totals `json:"free"`           // VA3
}

// Unit is one device with its own counters.
type Unit struct {
	Serial   string `json:"serial,omitempty"`
	Model    string `json:"model,omitempty"`
	Software string `json:"software,omitempty"`
}

// Identity says whose counters these are.
type Identity struct {
	ID        string `json:"id"`                  // DXS01: of whoever speaks, 10 characters
	Serial    string `json:"serial,omitempty"`    // ID101
	Model     string `json:"model,omitempty"`     // ID102
	Build     string `json:"build,omitempty"`     // ID103
	Location  string `json:"location,omitempty"`  // ID104
	User      string `json:"user,omitempty"`      // ID105
	Asset     string `json:"asset,omitempty"`     // ID106
	Version   string `json:"version,omitempty"`   // DXS03
	Board     *Unit  `json:"board,omitempty"`     // CB1
	Changer   *Unit  `json:"changer,omitempty"`   // CA1
	Bill      *Unit  `json:"bill,omitempty"`      // BA1
	Cashless  *Unit  `json:"cashless,omitempty"`  // DA1
	Cashless2 *Unit  `json:"cashless2,omitempty"` // DB1
	Decimals  int    `json:"decimals"`            // ID401, 2 where the machine does not say
	Currency  string `json:"currency,omitempty"`  // ID403, or ID402 where it is numeric ISO 4217
	Date      string `json:"date,omitempty"`      // ID501, the machine's clock: YYMMDD or YYYYMMDD, often wrong
	Time      string `json:"time,omitempty"`      // ID502: HHMM or HHMMSS
	Installed string `json:"installed,omitempty"` // EA401: the date of the last initialisation
	ID1       string `json:"id1,omitempty"`       // the whole segment, for whoever compares
}

// Payment is what one selection sold by one kind of payment (PA7).
type Payment struct {
	Device string `json:"device"`         // CA cash, DA cashless, DB second cashless, TA token
	List   string `json:"list,omitempty"` // price list
	Price  Num    `json:"price"`          // minor units
	Totals
}

// Selection is one column of the machine. The names of selections are text.
type Selection struct {
	Selection string `json:"selection"` // PA101, or PA102 where a board leaves that empty
	Name      string `json:"name,omitempty"`
	Price     Num    `json:"price"`
	Totals
	From         string    `json:"from,omitempty"` // PA2, or PA7, LA1 where it is absent
	Capacity     Num       `json:"capacity"`       // PA104
	Fill         Num       `json:"fill"`           // PA105, the standard filling
	Level        Num       `json:"level"`          // PA108
	Minimum      Num       `json:"minimum"`        // PA109
	Missing      bool      `json:"missing,omitempty"`
	Test         Num       `json:"test"`           // PA301, vends since initialisation
	Free         Num       `json:"free"`           // PA401, vends since initialisation
	SoldOutTries Num       `json:"sold_out_tries"` // PA503: tried while sold out, since the last reset
	Payments     []Payment `json:"payments,omitempty"`
}

// Tube is one tube of the changer (CA17).
type Tube struct {
	Type  string `json:"type"`
	Value Num    `json:"value"` // of one coin, minor units
	Count Num    `json:"count"` // the best known count; wrong after filling by hand
	Full  bool   `json:"full,omitempty"`
}

// Cash is money in coins and notes. Its Totals are the vends paid with it (CA2).
type Cash struct {
	Totals
	In        Num    `json:"in"`          // CA305, minor units since initialisation
	Box       Num    `json:"box"`         // CA306, to the cash box
	Tubes     Num    `json:"tubes"`       // CA307, to the tubes
	Bills     Num    `json:"bills"`       // CA310, else CA308 in minor units
	Out       Num    `json:"out"`         // CA403
	InReset   Num    `json:"in_reset"`    // CA301, since the last reset; the next three too
	BoxReset  Num    `json:"box_reset"`   // CA302
	TubeReset Num    `json:"tubes_reset"` // CA303
	BillReset Num    `json:"bills_reset"` // CA309, else CA304 in minor units
	InTubes   Num    `json:"in_tubes"`    // CA1501, minor units now
	TubeList  []Tube `json:"tube_list,omitempty"`
}

// Cashless is what was paid without cash; Totals are of all such devices.
type Cashless struct {
	Totals
	Devices []CashlessDevice `json:"devices,omitempty"`
}

// CashlessDevice is one of them: DA (first), DB (second) or TA (token).
type CashlessDevice struct {
	Device string `json:"device"`
	Totals
}

// Event is one line of EA1 (what happened) or EA2 (a counter of what happened).
type Event struct {
	Segment string `json:"segment"`          // EA1, EA2
	Code    string `json:"code"`             // as sent, without padding: EJB, ELA_12, OCF_OFF
	Base    string `json:"base,omitempty"`   // the code of the standard in it, where there is one: ELA
	Sel     string `json:"of,omitempty"`     // the selection or device number after it: 12
	Name    string `json:"name,omitempty"`   // what it means, "" for a maker's own
	Date    string `json:"date,omitempty"`   // EA102
	Time    string `json:"time,omitempty"`   // EA103
	User    string `json:"user,omitempty"`   // EA106 or EA204
	Count   Num    `json:"count"`            // EA203, since initialisation
	Reset   Num    `json:"count_reset"`      // EA202
	Active  bool   `json:"active,omitempty"` // EA205 = 1: it stands now
	Line    int    `json:"line"`
}

// Reads is the book that the machine keeps of its readers (EA3).
type Reads struct {
	WithReset Num `json:"with_reset"` // EA301
	All       Num `json:"all"`        // EA309
	Resets    Num `json:"resets"`     // EA310
	Cycles    Num `json:"cycles"`     // EA702, power cycles since initialisation
}

// Sums are added up by us, to compare with what the machine says.
type Sums struct {
	PA201 Num `json:"PA201"`
	PA202 Num `json:"PA202"`
	PA203 Num `json:"PA203"`
	PA204 Num `json:"PA204"`
	PA705 Num `json:"PA705"`
	PA706 Num `json:"PA706"` // without counters that began below zero
	CA17  Num `json:"CA17"`  // coins in tubes by their value, minor units
}

// Check is one reconciliation: two sides that should be equal.
type Check struct {
	Name  string `json:"name"`
	Left  Num    `json:"left"`
	Right Num    `json:"right"`
	OK    bool   `json:"ok"`
}

// Finding is one thing in which the audit deviates, or that a reader must know.
type Finding struct {
	Code   string `json:"code"`
	Line   int    `json:"line,omitempty"` // from 1; 0: of the audit as a whole
	Detail string `json:"detail"`         // English
	Broken bool   `json:"broken,omitempty"`
}

// Audit is all that is read from one.
type Audit struct {
	Identity   Identity    `json:"identity"`
	Sales      Sales       `json:"sales"`
	Selections []Selection `json:"selections"`
	Cash       Cash        `json:"cash"`
	Cashless   Cashless    `json:"cashless"`
	Events     []Event     `json:"events"`
	Reads      Reads       `json:"reads"`
	G85        G85         `json:"g85"`
	Segments   int         `json:"segments"`
	Stated     Num         `json:"segments_stated"`  // SE01
	Counted    int         `json:"segments_counted"` // from ST to SE
	Complete   bool        `json:"complete"`         // it ends as an audit does
	Sums       Sums        `json:"sums"`
	Checks     []Check     `json:"checks"`
	Findings   []Finding   `json:"findings"`
	Further    []*Audit    `json:"further,omitempty"` // of the same file, each on its own
}

// Broken is the first finding that says a line cannot be read as an audit's,
// nil where all can.
func (a *Audit) Broken() *Finding {
	for i := range a.Findings {
		if a.Findings[i].Broken {
			return &a.Findings[i]
		}
	}
	for _, b := range a.Further {
		if f := b.Broken(); f != nil {
			return f
		}
	}
	return nil
}

// Deviates reports whether a finding of that code was made.
func (a *Audit) Deviates(code string) bool {
	for _, f := range a.Findings {
		if f.Code == code {
			return true
		}
	}
	return false
}

// PerSelection reports whether the selections add up to the machine's own count
// of sales; where they do not, what they say is told as not reconciled.
func (a *Audit) PerSelection() bool {
	found := false
	for _, c := range a.Checks {
		if c.Name == CheckPA2Count || c.Name == CheckPA7Count {
			if c.OK {
				return true
			}
			found = true
		}
	}
	return !found && a.Sales.From == "PA2"
}
