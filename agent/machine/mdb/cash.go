package mdb

// setup: level currency(2) scale decimals routing(2) values(16).
func (c *changer) setup(b []byte) {
	if len(b) < 7 || b[3] == 0 || b[4] > 4 {
		return
	}
	c.scale, c.decimals, c.currency = int64(b[3]), int(b[4]), currency(b[1:3])
	c.values = [16]byte{}
	copy(c.values[:], b[7:])
}

// token is a coin value that is none.
const token = 0xff

// amount puts the value of one coin of a type into e.
func (c *changer) amount(e *Event, kind byte, n int64) {
	if c.scale == 0 || c.values[kind&15] == 0 || c.values[kind&15] == token {
		return
	}
	e.Raw = int64(c.values[kind&15]) * n
	e.Price, e.Decimals, e.Currency = e.Raw*c.scale, c.decimals, c.currency
}

// tubes: full bits(2), then the counts of 16 tubes.
func (d *Decoder) tubes(b []byte) {
	if len(b) < 2 {
		return
	}
	full := word(b[:2])
	for i, n := range b[2:] {
		if i < len(d.coin.tubes) {
			d.coin.tubes[i].Count, d.coin.tubes[i].Full = int(n), full>>i&1 != 0
		}
	}
	d.coin.known = true
	d.tellTubes()
}

func (d *Decoder) tellTubes() {
	e := blank(Tubes, Changer)
	if d.coin.scale > 0 {
		e.Decimals, e.Currency = d.coin.decimals, d.coin.currency
	}
	for i, t := range d.coin.tubes {
		t.Value = Unknown
		if v := d.coin.values[i]; d.coin.scale > 0 && v != 0 && v != token {
			t.Value = int64(v) * d.coin.scale
		}
		if t.Count > 0 || t.Full || t.Value > 0 {
			e.Tubes = append(e.Tubes, t)
		}
	}
	d.say(e)
}

// coinCodes are the one byte answers of a changer (§5.3 POLL) that a person acts on.
var coinCodes = map[byte]string{
	0x04: "coin_sensor", 0x06: "coin_unplugged", 0x07: "tube_jam", 0x08: "coin_rom", 0x0C: "coin_jam", 0x0D: "coin_removal",
}

// coins takes a POLL of the changer: a list of one and two byte answers.
func (d *Decoder) coins(b []byte) {
	for len(b) > 0 {
		c := b[0]
		switch {
		case c&0x80 != 0: // 1yyyxxxx zz: paid out by hand
			if len(b) < 2 {
				return
			}
			d.payout(int(c>>4&7), c&15)
			d.tube(c&15, b[1])
			b = b[2:]
			continue
		case c&0x40 != 0: // 01yyxxxx zz
			if len(b) < 2 {
				return
			}
			if route := c >> 4 & 3; route <= 1 { // cash box or tube; the others went back
				e := blank(CoinIn, Changer)
				d.coin.amount(&e, c&15, 1)
				d.say(e)
				d.over(Changer)
				if route == 1 {
					d.tube(c&15, b[1])
				}
			}
			b = b[2:]
			continue
		case c&0x20 != 0: // slugs
		case c == 0x0B: // it was reset: what stood is said again if it still stands
			d.over(Changer)
		default:
			if code := coinCodes[c]; code != "" {
				d.fault(Changer, code)
			}
		}
		b = b[1:]
	}
}

// tube notes the count of one tube, which comes with each coin.
func (d *Decoder) tube(kind, count byte) {
	if d.coin.known {
		d.coin.tubes[kind&15].Count = int(count)
	}
}

func (d *Decoder) payout(n int, kind byte) {
	if n == 0 {
		return
	}
	e := blank(PaidOut, Changer)
	d.coin.amount(&e, kind, int64(n))
	d.say(e)
	if t := &d.coin.tubes[kind&15]; d.coin.known {
		t.Count = max(0, t.Count-n)
	}
}

// diagnosis takes the answer to 0F 05: pairs of main and sub code (§5.4).
func (d *Decoder) diagnosis(b []byte) {
	switch main := b[0]; main {
	case 0x03: // working
		d.over(Changer)
	case 0x11:
		d.fault(Changer, "coin_jam")
	case 0x15:
		if b[1] == 0x02 {
			d.fault(Changer, "cassette_removed")
		}
	}
}

// setup: level currency(2) scale(2) decimals stacker(2) security(2) escrow values(16).
func (v *validator) setup(b []byte) {
	if len(b) < 11 || word(b[3:5]) == 0 || b[5] > 4 {
		return
	}
	v.scale, v.decimals, v.currency = word(b[3:5]), int(b[5]), currency(b[1:3])
	v.values = [16]byte{}
	copy(v.values[:], b[11:])
}

// billCodes are the one byte answers of a bill validator (§6.3 POLL).
var billCodes = map[byte]string{
	0x01: "bill_motor", 0x02: "bill_sensor", 0x04: "bill_rom", 0x05: "bill_jam", 0x08: "cash_box_out", 0x0C: "bill_removal",
}

// bills takes a POLL of the validator.
func (d *Decoder) bills(b []byte) {
	for _, c := range b {
		switch {
		case c&0x80 != 0:
			if route := c >> 4 & 7; route == 0 || route == 3 { // stacked or recycled: the others are not money yet
				e := blank(BillIn, Bill)
				if v := d.bill.values[c&15]; d.bill.scale > 0 && v != 0 && v != token {
					e.Raw = int64(v)
					e.Price, e.Decimals, e.Currency = int64(v)*d.bill.scale, d.bill.decimals, d.bill.currency
				}
				d.say(e)
				d.over(Bill)
			}
		case c&0x40 != 0: // tries while off
		case c == 0x06: // it was reset: what stood is said again if it still stands
			d.over(Bill)
		default:
			if code := billCodes[c]; code != "" {
				d.fault(Bill, code)
			}
		}
	}
}
