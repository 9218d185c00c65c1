package evadts

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"cellwarden/agent/machine/crc16"
)

// An audit composed for the tests, whose sums all fit: two selections, cash and
// cashless, an event that stands and one that is over. Lines from ST to before G85.
var wholesome = []string{
	"ST*001*0001",
	"ID1*CWT0000042*SNACK 36*0107*SITE 9**77",
	"ID4*2*1978*EUR",
	"ID5*20261122*0421",
	"CB1*BRD0001*MAIN*0107",
	"CA1*CHG0001*C2*1003",
	"VA1*2350*12*850*4",
	"VA2*100*1*0*0",
	"VA3*0*2*0*0",
	"CA2*1350*7*450*2",
	"CA3*700*500*200*0*1900*1300*400*0*0*200",
	"CA4*0*0*550*0",
	"CA15*270",
	"CA17*0*10*7*0*0*0",
	"CA17*1*50*4*0*0*1",
	"DA2*1000*5*400*2",
	"PA1*11*150*CRISPS*20*18***6*4",
	"PA2*5*750*2*300",
	"PA3*1*100",
	"PA4*2*0",
	"PA5*20261120*1530*3",
	"PA7*11*CA*0*150*3*450*1*150",
	"PA7*11*DA*0*150*2*300*1*150",
	"PA1*A2*200*COLA",
	"PA2*7*1600*2*550",
	"PA7*A2*CA*0*200*4*900*1*300",
	"PA7*A2*DA*0*200*3*700*1*250",
	"EA1*EGS*20261122*0310*4",
	"EA2*EJB_11*1*2**1",
	"EA3*5*20261122*0421*CWD*20261121*0400*CWD**9*5",
	"EA4*20250101*0900",
	"EA7*1*14",
}

// compose makes the text of an audit of lines, with its frame and a right G85.
func compose(lines ...string) string {
	text := strings.Join(lines, "\r\n") + "\r\n"
	return "DXS*CWT0000042*VA*V0/6*1\r\n" + text +
		fmt.Sprintf("G85*%04X\r\nSE*%d*0001\r\nDXE*1*1\r\n", crc16.String(0, text), len(lines)+2)
}

// without gives wholesome with the lines that begin with prefix replaced.
func with(prefix string, instead ...string) []string {
	var out []string
	done := false
	for _, l := range wholesome {
		if !strings.HasPrefix(l, prefix) {
			out = append(out, l)
		} else if !done {
			out, done = append(out, instead...), true
		}
	}
	if !done {
		panic("no line begins with " + prefix)
	}
	return out
}

func codesOf(a *Audit) string {
	var s []string
	for _, f := range a.Findings {
		s = append(s, f.Code)
	}
	return strings.Join(s, " ")
}

// What a machine without a fault says is read whole, and there is nothing to find.
func TestWholesomeAudit(t *testing.T) {
	a := Parse([]byte(compose(wholesome...)))
	if got := codesOf(a); got != "" {
		t.Errorf("findings %q in an audit without fault", got)
	}
	for _, c := range a.Checks {
		if !c.OK {
			t.Errorf("check %s: %v and %v", c.Name, c.Left, c.Right)
		}
	}
	if len(a.Checks) != 6 || !a.PerSelection() {
		t.Errorf("%d checks were made, want 6; per selection %v", len(a.Checks), a.PerSelection())
	}
	if a.G85 != G85OK || !a.Complete || a.Segments != len(wholesome)+4 || int64(a.Counted) != a.Stated.V() {
		t.Errorf("G85 %s, complete %v, %d segments, %d counted, %v stated", a.G85, a.Complete, a.Segments, a.Counted, a.Stated)
	}
	i := a.Identity
	if i.ID != "CWT0000042" || i.Serial != "CWT0000042" || i.Model != "SNACK 36" || i.Asset != "77" || i.Currency != "EUR" ||
		i.Board == nil || i.Board.Serial != "BRD0001" || i.Installed != "20250101" {
		t.Errorf("identity %+v", i)
	}
	if want := (Totals{Of(2350), Of(12), Of(850), Of(4)}); a.Sales.Totals != want || a.Sales.Free.Count != Of(2) {
		t.Errorf("sales %v", a.Sales)
	}
	crisps := a.Selections[0]
	if crisps.Selection != "11" || crisps.Totals != (Totals{Of(750), Of(5), Of(300), Of(2)}) || crisps.Level != Of(6) ||
		crisps.Minimum != Of(4) ||
		crisps.Capacity != Of(20) || crisps.Fill != Of(18) || crisps.SoldOutTries != Of(3) || crisps.Free != Of(2) || len(crisps.Payments) != 2 {
		t.Errorf("selection %+v", crisps)
	}
	if p := crisps.Payments[1]; p.Device != "DA" || p.Count != Of(2) || p.Value != Of(300) {
		t.Errorf("payment %+v", p)
	}
	if a.Selections[1].Selection != "A2" || a.Selections[1].Level.Known() {
		t.Errorf("the second selection is A2 and has no level: %+v", a.Selections[1])
	}
	if a.Cash.Count != Of(7) || a.Cashless.Value != Of(1000) || a.Cash.InTubes != Of(270) || a.Cash.Bills != Of(200) ||
		!a.Cash.TubeList[1].Full {
		t.Errorf("cash %+v cashless %+v", a.Cash, a.Cashless)
	}
	if e := a.Events; len(e) != 2 || e[0].Base != "EGS" || e[1].Base != "EJB" || e[1].Sel != "11" || !e[1].Active || e[1].Name == "" {
		t.Errorf("events %+v", a.Events)
	}
	if r := a.Reads; r.All != Of(9) || r.Resets != Of(5) || r.WithReset != Of(5) || r.Cycles != Of(14) {
		t.Errorf("reads %+v", r)
	}
}

// The standard's G85 vector, and the forms that boards in the field send.
func TestChecksum(t *testing.T) {
	body := "ST*001*0001\r\nID1*VMC123*TYPE3*5678***CAN 45\r\nVA1*400*5*150*2\r\n"
	sum := crc16.String(0, body)
	if sum != 0xFF41 {
		t.Fatalf("the vector of the reference is FF41, ours %04X", sum)
	}
	short := crc16.String(0, strings.TrimSuffix(body, "\r\n"))
	dxs, end := "DXS*VMC0000123*VA*V1/1*1\r\n", "\r\nSE*5*0001\r\nDXE*1*1\r\n"
	for _, c := range []struct {
		name, text string
		want       G85
	}{
		{"high byte first", dxs + body + "G85*FF41" + end, G85OK},
		{"lower case", dxs + body + "G85*ff41" + end, G85OK},
		{"LF alone, after an editor", strings.ReplaceAll(dxs+body+"G85*FF41"+end, "\r\n", "\n"), G85OK},
		{"CR alone", strings.ReplaceAll(dxs+body+"G85*FF41"+end, "\r\n", "\r"), G85OK},
		{"low byte first, a Rhea V1/1", dxs + body + "G85*41FF" + end, G85Swapped},
		{"without the last CRLF, an N&W Kikko", dxs + body + fmt.Sprintf("G85*%04X", short) + end, G85NoLastCRLF},
		{"one digit of the text changed", dxs + strings.Replace(body, "400", "401", 1) + "G85*FF41" + end, G85Mismatch},
		{"no hex at all", dxs + body + "G85*GGGG" + end, G85Mismatch},
		{"cut short", dxs + body + "G85*FF4" + end, G85Mismatch},
		{"none", dxs + body + "SE*4*0001\r\nDXE*1*1\r\n", G85Missing},
		{"without ST it begins behind DXS", dxs + "VA1*400*5\r\n" + fmt.Sprintf("G85*%04X", crc16.String(0, "VA1*400*5\r\n")) + end, G85OK},
		{"a maker's line before DXS is not in it", "MC5*X*Y\r\n" + dxs + body + "G85*FF41" + end, G85OK},
	} {
		a := Parse([]byte(c.text))
		if a.G85 != c.want {
			t.Errorf("%s: %s, want %s", c.name, a.G85, c.want)
		}
		if a.Sales.Value.V()/10 != 40 {
			t.Errorf("%s: the audit is kept whatever its checksum: %v", c.name, a.Sales)
		}
		if fits := c.want == G85OK || c.want == G85Swapped || c.want == G85NoLastCRLF; a.G85.Fits() != fits {
			t.Errorf("%s: Fits is %v", c.name, a.G85.Fits())
		}
	}
}

// Each deviation that public audits show is read, and named.
func TestDeviations(t *testing.T) {
	sold := func(a *Audit) string { return a.Sales.Value.String() + "/" + a.Sales.Count.String() }
	for _, c := range []struct {
		name, text, finds, want string
		say                     func(*Audit) string
	}{
		{"a carrier's wrapper on line 1", "<000|35|1>\r\n" + compose(wholesome...), "wrapper", "2350/12", sold},
		{"a wrapper on the same line as DXS", "<000|35|1>" + compose(wholesome...), "wrapper", "2350/12", sold},
		{"a maker's line before DXS (Sielaff)", "MC5*Line*Data*V0.1\r\n" + compose(wholesome...), "before_start", "2350/12", sold},
		{"tax lines (@$)", strings.Replace(compose(wholesome...), "VA2*", "@$A1*5*6\r\nVA2*", 1), "foreign_line g85_mismatch", "2350/12", sold},
		{"CA17 after SE (Platinum)", compose(with("CA17")...) + "CA17*0*10*27\r\n", "after_end", "27",
			func(a *Audit) string { return a.Cash.TubeList[0].Count.String() }},
		{"ST-1 and SE-1 (Platinum)", "DXS*NIS0000001*VA*V0/6*1\nST-1\nVA1*5*1\nSE-1\nDXE*1*1\n", "dash dash g85_missing se_differs", "5/1", sold},
		{"no ST, no G85, no SE, DXE*1*0 (FAGE)", "DXS*JF89000001*VA*V0/6*1\nVA1*5*1\nDXE*1*0\n", "g85_missing", "5/1", sold},
		{"no frame at all", "VA1*5*1\nPA1*1*5\nPA2*1*5\n", "no_start incomplete g85_missing", "5/1", sold},
		{"SE counts others (N&W, Rhea)", strings.Replace(compose(wholesome...), "SE*34", "SE*35", 1), "se_differs", "2350/12", sold},
		{"PA101 is empty, PA102 the selection (Kikko)", compose(with("PA1*11", "PA1**11*CRISPS")...), "selection_in_price", "11:-",
			func(a *Audit) string { return a.Selections[0].Selection + ":" + a.Selections[0].Price.String() }},
		{"more since the reset than in all (Animo)", compose(with("PA2*5", "PA2*5*750*200*300")...), "interval_above_total", "5",
			func(a *Audit) string { return a.Selections[0].Count.String() }},
		{"selections count otherwise (Rhea)", compose(with("VA1", "VA1*2350*6*850*4")...), "unreconciled_count", "2350/6", sold},
		{"values below zero (Coffeemar)", compose(with("PA7*11*CA", "PA7*11*CA*0*150*3*4294967295*1*4294967290")...),
			"negative_counter negative_counters", "1900",
			func(a *Audit) string { return a.Sums.PA706.String() }},
		{"no PA2: sums of PA7 stand in", compose(with("PA2")...), "", "5 PA7",
			func(a *Audit) string { return a.Selections[0].Count.String() + " " + a.Selections[0].From }},
		{"sales only in LA1 (NRI)", "DXS*NRI0000001*VA*V0/6*1\nST*1\nLA1*0*1*50*2*30\nLA1*1*1*50*0*5\nLA1*0*2*70*1*9\nSE*5\nDXE*1*1\n",
			"g85_missing no_va1", "-/44", sold},
		{"whole dollars in CA308 (Wittern)", compose(with("CA3*", "CA3*700*500*200*0*1900*1300*400*2*0*")...), "bills_in_whole_units", "200",
			func(a *Audit) string { return a.Cash.Bills.String() }},
		{"CA305 wrapped at ten million (NRI)", compose(with("CA3*", "CA3*0*0*0*0*900*10000500*400*0*0*0")...), "unreconciled_cash", "900",
			func(a *Audit) string { return a.Cash.In.String() }},
		{"CA15 and CA17 of different moments", compose(with("CA15", "CA15*345")...), "tubes_differ", "345",
			func(a *Audit) string { return a.Cash.InTubes.String() }},
		{"CA201 + DA201 is VA101 and the tests (FAGE)", compose(with("CA2*", "CA2*1450*8*0*0")...), "unreconciled_payments", "1450",
			func(a *Audit) string { return a.Cash.Value.String() }},
		{"each value is count by today's price (IDS)", compose(with("PA2*7", "PA2*7*1400*2*400")...), "unreconciled_value value_by_price", "1400",
			func(a *Audit) string { return a.Selections[1].Value.String() }},
		{"serial never written (-1)", compose(with("ID1", "ID1*4294967295*SNACK")...), "serial_unset", "",
			func(a *Audit) string { return a.Identity.Serial }},
		{"currency as a telephone code", compose(with("ID4", "ID4*2*0049")...), "", "", func(a *Audit) string { return a.Identity.Currency }},
		{"currency FFFF", compose(with("ID4", "ID4*2*FFFF")...), "", "", func(a *Audit) string { return a.Identity.Currency }},
		{"currency by number", compose(with("ID4", "ID4*0*1392")...), "", "392 0",
			func(a *Audit) string { return a.Identity.Currency + " " + fmt.Sprint(a.Identity.Decimals) }},
		{"an event code with padding", compose(with("EA1", "EA1*EGS   *20261122*0310")...), "padded_code", "EGS",
			func(a *Audit) string { return a.Events[0].Base }},
		{"a maker's own code", compose(with("EA1", "EA1*OCM mdb*20261122*0310*9**2M")...), "unknown_code", "OCM mdb 2M",
			func(a *Audit) string { return a.Events[0].Code + a.Events[0].Base + " " + a.Events[0].User }},
		{"a code that goes on (OCF_OFF)", compose(with("EA1", "EA1*OCF_OFF*20261122*0310")...), "unknown_code", "OCF_OFF",
			func(a *Audit) string { return a.Events[0].Code }},
		{"digits without underscore", compose(with("EA1", "EA1*ELA12*20261122*0310")...), "", "ELA of 12",
			func(a *Audit) string { return a.Events[0].Base + " of " + a.Events[0].Sel }},
		{"a name in escapes", compose(with("PA1*11", "PA1*11*150*TEA^2A^MILK*20")...), "", "TEA*MILK",
			func(a *Audit) string { return a.Selections[0].Name }},
		{"a name in an alphabet that is not said", compose(with("PA1*11", "PA1*11*150*^DD^^F1^ 2*20")...), "", "^DD^^F1^ 2",
			func(a *Audit) string { return a.Selections[0].Name }},
		{"a name in Chinese, as bytes", compose(with("PA1*11", "PA1*11*150*可乐*20")...), "", "可乐",
			func(a *Audit) string { return a.Selections[0].Name }},
		{"one selection twice", compose(append(append([]string{}, wholesome...), "PA1*A2*200*COLA", "PA2*0*0*0*0")...), "selection_twice", "3",
			func(a *Audit) string { return fmt.Sprint(len(a.Selections)) }},
		{"PA2 before any PA1", compose("ST*001*0001", "VA1*5*1", "PA2*1*5"), "no_selection", "5/1", sold},
		{"cut off between two lines", strings.Split(compose(wholesome...), "EA1")[0], "incomplete g85_missing", "2350/12", sold},
		{"cut off inside of a number", strings.Split(compose(wholesome...), "50*12*850")[0], "incomplete g85_missing", "-/-", sold},
		{"two audits in one file", compose(wholesome...) + compose(with("VA1", "VA1*9000*99*1*1")...), "several_audits", "2350/12 9000",
			func(a *Audit) string { return sold(a) + " " + a.Further[0].Sales.Value.String() }},
		{"blank lines and an audit after a modem's banner", "CONNECT 9600\r\n\r\n" + compose(wholesome...), "foreign_line", "2350/12", sold},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := Parse([]byte(c.text))
			if got := codesOf(a); got != c.finds {
				t.Errorf("findings %q, want %q", got, c.finds)
			}
			if got := c.say(a); got != c.want {
				t.Errorf("read %q, want %q", got, c.want)
			}
			if b := a.Broken(); b != nil {
				t.Errorf("line %d is called broken: %s", b.Line, b.Detail)
			}
		})
	}
}

// What cannot be an audit's is named with its line, and the rest is still read.
func TestBrokenLines(t *testing.T) {
	lines := func(n int) string { return strings.Repeat("MA5*X\r\n", n) }
	for _, c := range []struct {
		name, text, code string
		line             int
		sold             string
	}{
		{"nothing", "", "no_audit", 1, "-"},
		{"another file", "{\"a\": 1}\nplain text\n", "no_audit", 1, "-"},
		{"a letter in a counter", compose(with("VA1", "VA1*23x0*12*850*4")...), "not_a_number", 8, "-"},
		{"a letter in a selection's counter", compose(with("PA2*5", "PA2*five*750")...), "not_a_number", 19, "2350"},
		{"a zero byte", compose(with("VA2", "VA2*1\x000*1")...), "damaged_line", 9, "2350"},
		{"noise between two lines", compose(with("VA2", "#!~ noise")...), "damaged_line", 9, "2350"},
		{"a segment without end", "DXS*A\r\nVA1*7*1\r\nID1*" + strings.Repeat("x", MaxSegment) + "\r\nDXE*1*1\r\n", "segment_too_long", 3, "7"},
		{"segments without end", "DXS*A\r\nVA1*7*1\r\n" + lines(MaxSegments), "too_many_segments", MaxSegments + 1, "7"},
		{"64 KB of one file", "DXS*A\r\nVA1*7*1\r\n" + strings.Repeat("MA5*"+strings.Repeat("y", 900)+"\r\n", 100), "too_long", 75, "7"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := Parse([]byte(c.text))
			b := a.Broken()
			if b == nil {
				t.Fatalf("nothing is called broken: %s", codesOf(a))
			}
			if b.Code != c.code || b.Line != c.line {
				t.Errorf("%s in line %d, want %s in line %d: %s", b.Code, b.Line, c.code, c.line, b.Detail)
			}
			if got := a.Sales.Value.String(); got != c.sold {
				t.Errorf("sales %s, want %s", got, c.sold)
			}
		})
	}
}

// An unknown number is null, and comes back as unknown.
func TestNumbersInJSON(t *testing.T) {
	a := Parse([]byte("DXS*A\nVA1*5**0*\nDXE*1*1\n"))
	raw, err := json.Marshal(a.Sales.Totals)
	if err != nil || string(raw) != `{"value":5,"count":null,"value_reset":0,"count_reset":null}` {
		t.Fatalf("%s %v", raw, err)
	}
	var back Totals
	if err := json.Unmarshal(raw, &back); err != nil || back != a.Sales.Totals {
		t.Errorf("%+v came back as %+v, %v", a.Sales.Totals, back, err)
	}
	for _, bad := range []string{`-1`, `"5"`, `1.5`} {
		if err := json.Unmarshal([]byte(bad), &back.Value); err == nil {
			t.Errorf("%s passed for a count", bad)
		}
	}
}

// Every row of the table of codes is whole, in both languages.
func TestCodeTable(t *testing.T) {
	rows := 0
	for row := range strings.Lines(codesTSV) {
		if strings.HasPrefix(row, "#") {
			continue
		}
		rows++
		f := strings.Split(strings.TrimSuffix(row, "\n"), "\t")
		if len(f) != columns || f[3] == "" || f[4] == "" || f[2] != "" && f[2] != "ends" {
			t.Errorf("row %q", row)
			continue
		}
		if c, base, of := FindCode(f[0]); base != f[0] || of != "" || c != (Code{f[1], f[2] == "ends", f[3], f[4]}) {
			t.Errorf("%s is read as %q of %q: %+v", f[0], base, of, c)
		}
		if c, base, of := FindCode(strings.ToLower(f[0]) + "_7 "); base != f[0] || of != "7" || c.EN != f[3] {
			t.Errorf("%s_7 is read as %q of %q: %+v", f[0], base, of, c)
		}
	}
	if rows < 40 {
		t.Errorf("%d rows", rows)
	}
	for _, s := range []string{"", "_", "6A", "3", "NE8", "00000000", "EJB_", "EJB_x", "EJB\tcolumn_jam", "#"} {
		if c, base, _ := FindCode(s); base != "" || c.EN != "" {
			t.Errorf("%q is read as %q", s, base)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(compose(wholesome...)))
	f.Add([]byte("<0|1>DXS*A\nST-1\nPA1**5\nPA2*1\nEA2*ELA_1*^2A^*\nG85*zz\nSE-3\nDXS*B\n"))
	f.Add([]byte("PA7*1*CA\nPA1*1\nLA1*0*1*2*3*-4\nCA3*1*1*0*1*1*1*1*1*1*1\nID4*9"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		a := Parse(raw)
		if len(a.Findings) > MaxFindings+1 || a.Segments > MaxSegments {
			t.Fatalf("%d findings, %d segments", len(a.Findings), a.Segments)
		}
		out, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		var back Audit
		if err := json.Unmarshal(out, &back); err != nil {
			t.Fatal(err)
		}
		for _, n := range []Num{a.Sales.Value, a.Sums.PA201, a.Sums.PA706, a.Cash.Bills, a.Sums.CA17} {
			if n.V() < 0 {
				t.Fatalf("a number below zero: %s", out)
			}
		}
		if len(raw) == 0 && a.Broken() == nil {
			t.Fatal("nothing passed for an audit")
		}
	})
}

// Big is an audit of 64 KB as a large machine would send it: its size is what
// the benchmark of this package and the bar of memory are about.
func big() []byte {
	var lines []string
	lines = append(lines, wholesome...)
	for i := 100; ; i++ {
		sel := []string{
			fmt.Sprintf("PA1*%d*150*SELECTION NUMBER %d OF THE LOWER ROW, LEFT HALF OF IT*20*18***6*4", i, i),
			fmt.Sprintf("PA2*%d*%d*2*300", i, 150*i), "PA3*1*100", "PA4*2*0", "PA5*20261120*1530*3",
			fmt.Sprintf("PA7*%d*CA*0*150*3*450*1*150", i), fmt.Sprintf("PA7*%d*DA*0*150*2*300*1*150", i),
		}
		if next := compose(append(lines, sel...)...); len(next) > MaxBytes || len(lines)+len(sel) > MaxSegments-10 {
			return []byte(compose(lines...))
		}
		lines = append(lines, sel...)
	}
}

func BenchmarkParse64K(b *testing.B) {
	raw := big()
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if a := Parse(raw); len(a.Selections) < 100 {
			b.Fatal(len(a.Selections))
		}
	}
}
