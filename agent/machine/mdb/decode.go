package mdb

import "time"

// Word is what kind of frame came.
type Word uint8

// The words. Data frames are without their checksum.
const (
	Data Word = iota
	ACK
	NAK
	RET
)

// Frame is one frame of the bus. Of the master's data frames Cmd is the first byte
// (address and command); Data follows it.
type Frame struct {
	At     time.Duration
	Master bool
	Word   Word
	Cmd    byte
	Data   []byte
}

// Kind is what an Event is.
type Kind string

// The kinds of Event.
const (
	Sale      Kind = "sale"
	Failed    Kind = "vend_failed" // asked for and approved, but not delivered
	CoinIn    Kind = "coin_in"
	BillIn    Kind = "bill_in"
	PaidOut   Kind = "paid_out"
	Tubes     Kind = "tubes"
	Stacker   Kind = "stacker"
	Fault     Kind = "fault"
	FaultOver Kind = "fault_over"
	Disabled  Kind = "reader_disabled"
	Enabled   Kind = "reader_enabled"
	Silent    Kind = "bus_silent"
	Speaks    Kind = "bus_speaks"  // at first, and after a silence
	Wanted    Kind = "vend_wanted" // somebody stands there: a sale is about to happen
)

// Device is who an Event is of.
type Device string

// The devices that are read.
const (
	Changer   Device = "coin"
	Bill      Device = "bill"
	Cashless  Device = "cashless"
	Cashless2 Device = "cashless2"
)

// Unknown is an amount or item that the bus did not say.
const Unknown = -1

// Tube is what a tube of the changer holds.
type Tube struct {
	Value int64 // minor units of one coin, Unknown without SETUP
	Count int
	Full  bool
}

// Event is one thing that was heard.
type Event struct {
	At       time.Duration
	Kind     Kind
	Device   Device
	Pay      string // of a sale: cashless, cashless2, cash, token, free, test
	Item     int    // the bus's number, or Unknown
	Price    int64  // minor units, or Unknown
	Raw      int64  // units of the bus, or Unknown
	Decimals int    // of the minor unit, Unknown without SETUP
	Currency string // ISO 4217, three digits
	Inferred bool
	Code     string // of a fault: coin_jam, cash_box_out ...
	Tubes    []Tube
	Count    int  // bills in the stacker
	Full     bool // of the stacker
}

// Waits, with their reasons.
const (
	// SilentAfter: each device is polled every 25 to 200 ms.
	SilentAfter = 30 * time.Second
	// repeatWithin: the same cash sale again so soon is a repetition: nobody gets
	// two products out of a machine in three seconds.
	repeatWithin = 3 * time.Second
)

// reader is what is known of a cashless device.
type reader struct {
	scale    int64 // 0 not known
	decimals int
	currency string
	asked    bool
	price    int64
	item     int
	approved bool
	sold     bool // the last vend was told; the same success again is a repetition
	disabled bool
	lastCash cashSale
	hasCash  bool
}

type cashSale struct {
	raw  int64
	item int // with its high bits
	at   time.Duration
}

// Decoder is the ear on one bus. The zero value is ready.
type Decoder struct {
	// MasterOnly: the peripherals' line is not heard, so that what the master says
	// counts at once.
	MasterOnly bool

	cmd     byte
	data    []byte
	open    bool   // a command of the master's awaits its answer
	counted bool   // it was taken in
	reply   []byte // the answer, which awaits the master's ACK

	readers  [2]reader
	coin     changer
	bill     validator
	last     time.Duration
	heard    bool
	silent   bool
	started  time.Duration
	begun    bool
	out      []Event
	standing map[Device]string // the fault that was told
}

type changer struct {
	scale    int64
	decimals int
	currency string
	values   [16]byte
	tubes    [16]Tube
	known    bool
}

type validator struct {
	scale    int64
	decimals int
	currency string
	values   [16]byte
}

// Frame takes one frame.
func (d *Decoder) Frame(f Frame) []Event {
	d.out = nil
	d.last = f.At
	if !d.heard || d.silent {
		d.heard, d.silent = true, false
		d.say(Event{Kind: Speaks})
	}
	switch {
	case f.Master && f.Word == Data:
		d.cmd, d.data, d.open, d.counted, d.reply = f.Cmd, f.Data, true, false, nil
		if d.MasterOnly {
			d.count()
		}
	case f.Master:
		if f.Word == ACK && d.open && d.reply != nil {
			d.answer()
			d.open = false
		}
		if f.Word != ACK {
			d.reply = nil // it will come again
		}
	case !d.open:
	case f.Word == ACK:
		d.count()
		d.open = false
	case f.Word == NAK:
		d.open = false // the master will say it again
	case f.Word == Data:
		d.count()
		d.reply = f.Data
	}
	return d.out
}

// Tick takes the passing of time: the bus may have fallen silent. The tap has power
// as long as this is called.
func (d *Decoder) Tick(at time.Duration) []Event {
	d.out = nil
	if !d.begun {
		d.begun, d.started = true, at
	}
	since := d.started
	if d.heard {
		since = d.last
	}
	if !d.silent && at-since >= SilentAfter {
		d.silent = true
		d.last = at
		d.say(Event{Kind: Silent})
	}
	return d.out
}

func (d *Decoder) say(e Event) {
	e.At = d.last
	d.out = append(d.out, e)
}

// blank is an event with nothing known.
func blank(k Kind, dev Device) Event {
	return Event{Kind: k, Device: dev, Item: Unknown, Price: Unknown, Raw: Unknown, Decimals: Unknown}
}

// address takes a command byte apart.
func address(cmd byte) (addr, sub byte) { return cmd & 0xf8, cmd & 7 }

// readerOf gives the cashless device at an address.
func (d *Decoder) readerOf(addr byte) (*reader, Device) {
	switch addr {
	case 0x10:
		return &d.readers[0], Cashless
	case 0x60:
		return &d.readers[1], Cashless2
	}
	return nil, ""
}

// count takes in the master's command: the peripheral has it.
func (d *Decoder) count() {
	if d.counted {
		return
	}
	d.counted = true
	addr, sub := address(d.cmd)
	if r, dev := d.readerOf(addr); r != nil {
		switch sub {
		case 0:
			d.resetReader(r, dev)
		case 3:
			d.vend(r, dev, d.data)
		case 4:
			d.gate(r, dev, d.data)
		}
		return
	}
	if addr == 0x08 && sub == 5 && len(d.data) >= 1 { // 0D: pay out
		d.payout(int(d.data[0]>>4), d.data[0]&15)
	}
}

// resetReader: between approval and success a reset counts as success.
func (d *Decoder) resetReader(r *reader, dev Device) {
	if r.asked && r.approved && !r.sold {
		d.sale(r, dev, true)
	}
	r.asked, r.approved, r.sold = false, false, false
}

// gate: 14 00 takes the reader out of service, 14 01 back.
func (d *Decoder) gate(r *reader, dev Device, data []byte) {
	if len(data) < 1 || data[0] > 1 {
		return
	}
	off := data[0] == 0
	if off != r.disabled {
		r.disabled = off
		if off {
			d.say(blank(Disabled, dev))
		} else {
			d.say(blank(Enabled, dev))
		}
	}
}

func word(b []byte) int64 {
	var n int64
	for _, c := range b {
		n = n<<8 | int64(c)
	}
	return n
}

// noItem is the item of a machine that does not tell it.
const noItem = 0xffff

// vend takes VEND (13 or 63). In expanded currency mode prices have four bytes; the
// length of the block tells.
func (d *Decoder) vend(r *reader, dev Device, data []byte) {
	if len(data) < 1 {
		return
	}
	sub, rest := data[0], data[1:]
	switch sub {
	case 0x00: // request
		price, item, ok := priced(rest)
		if !ok {
			return
		}
		repeat := r.asked && !r.sold && r.price == price && r.item == item
		r.price, r.item = price, item
		if !repeat {
			r.asked, r.approved, r.sold = true, false, false
			e := blank(Wanted, dev)
			e.Item = item
			d.say(e)
		}
	case 0x01: // cancelled
		r.asked, r.approved = false, false
	case 0x02: // success: the sale
		if r.sold {
			return // said again
		}
		if !r.asked { // we were plugged in later
			r.price, r.item = Unknown, Unknown
		}
		if len(rest) >= 2 {
			if item := int(word(rest[:2])); item != noItem {
				r.item = item
			}
		}
		d.sale(r, dev, false)
	case 0x03: // failure
		if r.asked {
			e := blank(Failed, dev)
			e.Item = r.item
			d.price(&e, r, r.price)
			d.say(e)
		}
		r.asked, r.approved, r.sold = false, false, false
	case 0x04: // session complete
		r.asked, r.approved, r.sold = false, false, false
	case 0x05:
		d.cash(r, dev, rest)
	}
}

// priced reads price and item of a block, by its length.
func priced(b []byte) (price int64, item int, ok bool) {
	switch {
	case len(b) == 4:
		price, item = word(b[:2]), int(word(b[2:4]))
	case len(b) >= 6:
		price, item = word(b[:4]), int(word(b[4:6]))
	default:
		return 0, 0, false
	}
	if item == noItem {
		item = Unknown
	}
	return price, item, true
}

// price puts an amount into e: in minor units where SETUP was seen.
func (d *Decoder) price(e *Event, r *reader, raw int64) {
	if raw < 0 {
		return
	}
	e.Raw = raw
	if r.scale > 0 {
		e.Price, e.Decimals, e.Currency = raw*r.scale, r.decimals, r.currency
	}
}

// sale tells a cashless sale.
func (d *Decoder) sale(r *reader, dev Device, inferred bool) {
	e := blank(Sale, dev)
	e.Pay, e.Item, e.Inferred = string(dev), r.item, inferred
	d.price(&e, r, r.price)
	d.say(e)
	r.asked, r.approved, r.sold = false, false, true
}

// The high bits of the item of a cash sale (§7.4.8).
const (
	itemFree     = 0x8000
	itemTest     = 0x4000
	itemNegative = 0x2000
	itemToken    = 0x1000
	itemBits     = 0xf000
)

// cash takes a cash sale that the machine reports to the reader. Both readers may be
// told of the same one.
func (d *Decoder) cash(r *reader, dev Device, b []byte) {
	price, item, ok := priced(b)
	if !ok {
		return
	}
	e := blank(Sale, dev)
	e.Pay = "cash"
	same := cashSale{price, item, d.last}
	if item != Unknown {
		switch {
		case item&itemNegative != 0:
			return // money that went back
		case item&itemFree != 0:
			e.Pay = "free"
		case item&itemTest != 0:
			e.Pay = "test"
		case item&itemToken != 0:
			e.Pay = "token"
		}
		item &^= itemBits
	}
	for i := range d.readers {
		other := &d.readers[i]
		if c := other.lastCash; other.hasCash && c.raw == same.raw && c.item == same.item && d.last-c.at < repeatWithin {
			other.lastCash.at = d.last
			return
		}
	}
	r.lastCash, r.hasCash = same, true
	e.Item = item
	d.price(&e, r, price)
	d.say(e)
}

// answer takes in what a peripheral said and the master acknowledged.
func (d *Decoder) answer() {
	addr, sub := address(d.cmd)
	if r, dev := d.readerOf(addr); r != nil {
		if sub == 1 && len(d.data) > 0 && d.data[0] == 0 {
			r.setup(d.reply)
			return
		}
		d.cashless(r, dev, d.reply)
		return
	}
	switch d.cmd {
	case 0x09:
		d.coin.setup(d.reply)
	case 0x0A:
		d.tubes(d.reply)
	case 0x0B:
		d.coins(d.reply)
	case 0x0F:
		if len(d.data) > 0 && d.data[0] == 0x05 && len(d.reply) >= 2 {
			d.diagnosis(d.reply)
		}
	case 0x31:
		d.bill.setup(d.reply)
	case 0x33:
		d.bills(d.reply)
	case 0x36:
		if len(d.reply) >= 2 {
			n := int(word(d.reply[:2]))
			e := blank(Stacker, Bill)
			e.Count, e.Full = n&0x7fff, n&0x8000 != 0
			d.say(e)
		}
	}
}

// setup: 01 level currency(2) scale decimals time options.
func (r *reader) setup(b []byte) {
	if len(b) < 6 || b[0] != 1 || b[4] == 0 || b[5] > 4 {
		return
	}
	r.scale, r.decimals, r.currency = int64(b[4]), int(b[5]), currency(b[2:4])
}

// currency is two bytes of BCD: 1xxx is ISO 4217, 0xxx a telephone code.
func currency(b []byte) string {
	if b[0]>>4 != 1 {
		return ""
	}
	digits := []byte{b[0] & 15, b[1] >> 4, b[1] & 15}
	for i := range digits {
		if digits[i] > 9 {
			return ""
		}
		digits[i] += '0'
	}
	return string(digits)
}

// cashless takes what a reader answers to a poll or to a command.
func (d *Decoder) cashless(r *reader, dev Device, b []byte) {
	if len(b) == 0 {
		return
	}
	switch b[0] {
	case 0x00: // it was reset
		d.resetReader(r, dev)
	case 0x01:
		r.setup(b)
	case 0x06: // denied
		r.asked, r.approved = false, false
	case 0x04, 0x07: // cancel, end of session
		r.asked = r.asked && r.approved
	case 0x05:
		if r.asked {
			r.approved = true
		}
	case 0x0A:
		d.fault(dev, "cashless_fault")
	}
	if b[0] == 0x05 || b[0] == 0x03 {
		d.over(dev)
	}
}

// fault tells a fault once; over tells its end.
func (d *Decoder) fault(dev Device, code string) {
	if d.standing == nil {
		d.standing = map[Device]string{}
	}
	if d.standing[dev] == code {
		return
	}
	if d.standing[dev] != "" {
		d.over(dev)
	}
	d.standing[dev] = code
	e := blank(Fault, dev)
	e.Code = code
	d.say(e)
}

func (d *Decoder) over(dev Device) {
	code := d.standing[dev]
	if code == "" {
		return
	}
	delete(d.standing, dev)
	e := blank(FaultOver, dev)
	e.Code = code
	d.say(e)
}
