package machine

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"cellwarden/agent/instant"
	"cellwarden/agent/machine/mdb"
	"cellwarden/agent/machine/vmcsim"
	"cellwarden/protocol"
)

// shop is a Machine with its vending machine and a clock.
type shop struct {
	t     *testing.T
	m     *Machine
	board *vmcsim.Board
	at    instant.Instant
	seq   uint64
	said  []string // messages, in short
	kept  []byte
	sales []protocol.Sale
	raws  []protocol.AuditRaw
	wants int
}

func open(t *testing.T, opt Options) *shop {
	t.Helper()
	s := &shop{t: t, board: vmcsim.NewBoard("77"),
		at: instant.Instant{Boot: "1f2e3d4c-aaaa", Mono: time.Hour, Wall: time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC), Trusted: true}}
	m, err := New(opt, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.m = m
	return s
}

func (s *shop) do(ev Event) {
	for _, e := range s.m.Step(ev) {
		switch {
		case e.AboutToSell:
			s.wants++
		case e.Persist != nil:
			s.kept = e.Persist
		case e.Send != nil:
			switch b := e.Send.Body.(type) {
			case protocol.Notice:
				word := "begins"
				if !b.Stands {
					word = "ends"
				}
				s.said = append(s.said, strings.TrimRight(fmt.Sprintf("%s %s %s %s %s", b.Kind, word, b.How, b.Selection, b.Code), " "))
			case protocol.MachineAudit:
				n := "-"
				if b.Sales.Count != nil {
					n = fmt.Sprint(*b.Sales.Count)
				}
				s.said = append(s.said, "audit "+b.State+" "+n)
			case protocol.Sale:
				s.sales = append(s.sales, b)
			case protocol.AuditRaw:
				s.raws = append(s.raws, b)
			}
			if body, err := protocol.NewBody(e.Send.Body); err != nil || len(body) > protocol.MaxEnvelope-300 {
				s.t.Errorf("a body of %d bytes, %v", len(body), err)
			}
		}
	}
}

func (s *shop) read() {
	s.seq++
	s.do(AuditRead{At{s.at}, s.seq, "dex", []byte(s.board.Text())})
}

func (s *shop) later(d time.Duration) {
	for end := s.at.Mono + d; s.at.Mono < end; {
		step := min(10*time.Minute, end-s.at.Mono)
		s.at = s.at.Add(step)
		s.do(Tick{At{s.at}})
	}
}

func (s *shop) bus(e mdb.Event) { s.do(Heard{At{s.at}, e}) }

func (s *shop) busSale(pay string, item int, price int64) {
	s.bus(mdb.Event{Kind: mdb.Sale, Pay: pay, Item: item, Price: price, Raw: price, Decimals: 2, Currency: "978"})
}

// want compares what was said since the last time.
func (s *shop) want(lines ...string) {
	s.t.Helper()
	if !slices.Equal(s.said, lines) {
		s.t.Errorf("said\n\t%s\nwant\n\t%s", strings.Join(s.said, "\n\t"), strings.Join(lines, "\n\t"))
	}
	s.said = nil
}

// The first audit is the baseline; the next one is a window; the same audit handed
// over again after a crash says nothing.
func TestAuditsBecomeMessages(t *testing.T) {
	s := open(t, Options{})
	s.board.Sell(0, true)
	s.read()
	s.want("audit baseline -")
	s.board.Sell(0, true)
	s.board.Sell(1, false)
	s.later(12 * time.Hour)
	s.read()
	s.want("audit window 2")
	s.do(AuditRead{At{s.at}, s.seq, "dex", []byte(s.board.Text())})
	s.want()
	if s.m.Seq() != 2 {
		t.Errorf("seq %d", s.m.Seq())
	}
	first, err := protocol.UnpackAudit(s.raws[:1], nil)
	if err != nil {
		t.Fatal(err)
	}
	second, err := protocol.UnpackAudit(s.raws[1:], first)
	if err != nil || string(second) != s.board.Text() {
		t.Errorf("the raw audit does not come back: %v", err)
	}
	if len(s.raws[1].Deflate) > 120 {
		t.Errorf("%d bytes for what changed", len(s.raws[1].Deflate))
	}
}

// After a restart counting goes on from what was kept.
func TestStateIsKept(t *testing.T) {
	s := open(t, Options{})
	s.read()
	s.board.Sell(0, true)
	m, err := New(Options{}, s.kept)
	if err != nil {
		t.Fatal(err)
	}
	s.m, s.said = m, nil
	s.later(time.Hour)
	s.read()
	s.want("audit window 1")
	for _, bad := range []string{"{", `{"v":99}`} {
		if _, err := New(Options{}, []byte(bad)); err == nil {
			t.Errorf("%s was read as a state", bad)
		}
	}
}

// Before any audit the bus says what money is counted in; before both, two decimals.
func TestMoneyBeforeAnAudit(t *testing.T) {
	s := open(t, Options{})
	if d, c := s.m.Money(); d != 2 || c != "" {
		t.Errorf("%d decimals of %q", d, c)
	}
	s.bus(mdb.Event{Kind: mdb.Sale, Pay: "cashless", Item: 1, Price: 150, Raw: 150, Decimals: 0, Currency: "392"})
	if d, c := s.m.Money(); d != 0 || c != "392" {
		t.Errorf("%d decimals of %q", d, c)
	}
}

// A jam that the machine reports, with its own code, and its end; a door that was
// opened and closed between two audits.
func TestWhatTheMachineReports(t *testing.T) {
	s := open(t, Options{})
	s.read()
	s.board.Stands("EJB_11")
	s.board.Happened("EGS")
	s.later(time.Hour)
	s.read()
	s.want("audit baseline -", "audit window 0", "door_open ends reported  EGS", "column_jam begins reported 11 EJB_11")
	s.later(time.Hour)
	s.read() // it still stands: nobody hears of it again
	s.want("audit window 0")
	s.board.Ended()
	s.later(time.Hour)
	s.read()
	s.want("audit window 0", "column_jam ends reported 11 EJB_11")
}

// An event that is merely missing in the next audit is no repair.
func TestMissingIsNotMended(t *testing.T) {
	s := open(t, Options{})
	s.read()
	head, _, _ := strings.Cut(s.board.Text(), "G85*")
	text := head + "DXE*1*1\r\n"
	with := strings.Replace(text, "EA3*", "EA2*EJJ*1*1**1\r\nEA3*", 1)
	read := func(text string) { s.seq++; s.do(AuditRead{At{s.at}, s.seq, "dex", []byte(text)}) }
	read(with)
	s.said = nil
	s.later(time.Hour)
	read(text)
	s.want("audit window 0")
	s.later(25 * time.Hour)
	read(text)
	s.want("audit window 0", "temperature ends reported  EJJ")
}

// Columns: low and sold out by the machine's own counted level, filled again.
func TestStock(t *testing.T) {
	s := open(t, Options{})
	s.read()
	for range 16 {
		s.board.Sell(0, true)
	}
	s.later(time.Hour)
	s.read()
	s.want("audit baseline -", "audit window 16", "low begins derived 11")
	if v := s.m.View(s.at); len(v.PickList()) != 1 || v.PickList()[0].Fill != 16 || !v.PickList()[0].Low || v.Stock[1].Level != -1 {
		t.Errorf("pick list %+v of %+v", v.PickList(), v.Stock)
	}
	for range 4 {
		s.board.Sell(0, true)
	}
	s.later(time.Hour)
	s.read()
	s.want("audit window 4", "sold_out begins derived 11", "low ends derived 11")
	s.board.Columns[0].Level = 20
	s.later(time.Hour)
	s.read()
	s.want("audit window 0", "sold_out ends derived 11")
}

// A board that does not count its columns: a person says that they are full, and the
// bus and the audits count them down, each vend once.
func TestStockEnteredByAPerson(t *testing.T) {
	s := open(t, Options{Fill: map[string]int64{"11": 10}, Items: map[string]string{"1": "11"}})
	frozen := func() {
		s.seq++
		s.do(AuditRead{At{s.at}, s.seq, "dex", []byte(levelless(s.board))})
	}
	frozen()
	s.do(Filled{At{s.at}, []string{"11"}})
	for range 3 {
		s.board.Sell(0, false)
		s.busSale("cashless", 1, 150)
	}
	s.board.Sell(0, true) // this one the bus did not tell
	if v := s.m.View(s.at); v.Stock[0].Level != 7 {
		t.Errorf("after three on the bus %+v", v.Stock[0])
	}
	s.later(time.Hour)
	frozen()
	if v := s.m.View(s.at); v.Stock[0].Level != 6 || v.Stock[0].Fill != 4 {
		t.Errorf("after the audit of four %+v", v.Stock[0])
	}
}

// levelless is the audit of a board that says no levels.
func levelless(b *vmcsim.Board) string {
	var out []string
	for _, line := range strings.Split(b.Text(), "\r\n") {
		if strings.HasPrefix(line, "PA1") {
			line = strings.Join(strings.Split(line, "*")[:4], "*")
		}
		out = append(out, line)
	}
	return strings.Join(out, "\r\n")
}

// The bus tells each sale once, and the audit over the same hours is compared, never
// added.
func TestBusAndAuditAreCompared(t *testing.T) {
	s := open(t, Options{})
	s.read()
	s.bus(mdb.Event{Kind: mdb.Enabled})
	s.read()
	s.said = nil
	for range 3 {
		s.board.Sell(1, false)
		s.busSale("cashless", 12, 200)
	}
	s.later(time.Hour)
	s.read()
	s.want("audit window 3")
	if len(s.sales) != 3 || *s.sales[0].Price != 200 || s.sales[0].Selection != "12" || s.sales[0].How != Reported {
		t.Errorf("sales %+v", s.sales)
	}
	if v := s.m.View(s.at); v.Decimals != 2 || v.Currency != "EUR" {
		t.Errorf("money in %d decimals of %q", v.Decimals, v.Currency)
	}
	if d := s.m.View(s.at).Today; d.Count != 3 || d.Value != 600 || d.From != "mdb" {
		t.Errorf("today %+v: the audit was added", d)
	}
	s.board.Sell(1, false) // one that the bus does not see
	s.later(time.Hour)
	s.read()
	s.want("audit window 1", "counts_differ begins derived")
	s.board.Sell(1, false)
	s.busSale("cashless", 12, 200)
	s.later(time.Hour)
	s.read()
	s.want("audit window 1", "counts_differ ends derived")
}

// While the bus was not heard all the time, a difference says nothing.
func TestABrokenTapProvesNothing(t *testing.T) {
	s := open(t, Options{})
	s.bus(mdb.Event{Kind: mdb.Enabled})
	s.read()
	s.bus(mdb.Event{Kind: mdb.Silent})
	s.board.Sell(1, false)
	s.bus(mdb.Event{Kind: mdb.Speaks})
	s.later(time.Hour)
	s.read()
	s.want("audit baseline -", "audit window 1")
}

// Faults of the bus must stand for a minute; a jam that clears itself is not told.
func TestBusFaults(t *testing.T) {
	s := open(t, Options{})
	s.bus(mdb.Event{Kind: mdb.Fault, Device: mdb.Changer, Code: "coin_jam"})
	s.at = s.at.Add(20 * time.Second)
	s.bus(mdb.Event{Kind: mdb.FaultOver, Device: mdb.Changer, Code: "coin_jam"})
	s.later(time.Hour)
	s.want()
	s.bus(mdb.Event{Kind: mdb.Fault, Device: mdb.Bill, Code: "cash_box_out"})
	s.later(10 * time.Minute)
	s.bus(mdb.Event{Kind: mdb.FaultOver, Device: mdb.Bill, Code: "cash_box_out"})
	s.want("cash_box_out begins reported  cash_box_out", "cash_box_out ends reported  cash_box_out")
	s.bus(mdb.Event{Kind: mdb.Stacker, Full: true, Count: 400})
	s.bus(mdb.Event{Kind: mdb.Stacker, Full: true, Count: 400})
	s.bus(mdb.Event{Kind: mdb.Stacker, Count: 0})
	s.want("cash_box_full begins reported bill", "cash_box_full ends reported bill")
	s.bus(mdb.Event{Kind: mdb.Silent})
	s.later(2 * time.Minute)
	s.want()
	s.later(10 * time.Minute)
	s.bus(mdb.Event{Kind: mdb.Speaks})
	s.want("machine_silent begins derived bus", "machine_silent ends derived bus")
	s.bus(mdb.Event{Kind: mdb.Tubes, Decimals: 2, Tubes: []mdb.Tube{{Value: 10, Count: 40}, {Value: 50, Count: 2}, {Value: mdb.Unknown,
		Count: 1}}})
	s.bus(mdb.Event{Kind: mdb.Tubes, Decimals: 2, Tubes: []mdb.Tube{{Value: 10, Count: 40}, {Value: 50, Count: 22}}})
	s.want("tubes_low begins derived", "tubes_low ends derived")
	s.bus(mdb.Event{Kind: mdb.Failed, Item: 12, Price: 200})
	s.want("column_jam ends reported 12 vend_failed")
	s.bus(mdb.Event{Kind: mdb.Wanted, Item: 12})
	if s.wants != 1 {
		t.Error("nobody was told that a sale is about to happen")
	}
}

// A fault that comes and goes all day is told a few times, then left standing.
func TestFlappingIsBounded(t *testing.T) {
	s := open(t, Options{})
	for range 40 {
		s.bus(mdb.Event{Kind: mdb.Fault, Code: "bill_jam"})
		s.later(5 * time.Minute)
		s.bus(mdb.Event{Kind: mdb.FaultOver, Code: "bill_jam"})
		s.later(5 * time.Minute)
	}
	if n := len(s.said); n != 2*maxTold {
		t.Errorf("%d messages, want %d", n, 2*maxTold)
	}
}

// Two polls without an answer are a machine that does not answer; one is none.
func TestMachineDoesNotAnswer(t *testing.T) {
	s := open(t, Options{})
	s.read()
	s.do(ReadFailed{At{s.at}, "dex", "no_answer"})
	s.want("audit baseline -")
	s.later(time.Hour)
	s.do(ReadFailed{At{s.at}, "dex", "no_answer"})
	s.want("machine_silent begins derived port EIL")
	s.later(time.Hour)
	s.read()
	s.want("machine_silent ends derived port EIL", "audit window 0")
}

// Another board: counting begins anew, and a person hears of it.
func TestBoardExchanged(t *testing.T) {
	s := open(t, Options{})
	s.read()
	s.board = vmcsim.NewBoard("88")
	s.board.Sell(0, true)
	s.later(time.Hour)
	s.read()
	s.want("audit baseline -", "audit baseline -", "board_changed begins derived  board_changed")
	s.later(time.Hour)
	s.read()
	s.want("audit window 0", "board_changed ends derived  board_changed")
}

// week sells by habit: three an hour from 8 to 20, one in the night's first hours.
func week(s *shop, weeks int) {
	rng := rand.New(rand.NewPCG(3, 4))
	s.bus(mdb.Event{Kind: mdb.Enabled})
	for range weeks * 7 * 24 {
		n := 0
		switch h := s.at.Wall.Hour(); {
		case h >= 8 && h < 20:
			n = 1 + rng.IntN(5)
		case h < 2:
			n = rng.IntN(2)
		}
		for range n {
			s.busSale("cashless", 12, 200)
		}
		s.later(time.Hour)
	}
}

// A machine that sells three an hour by day falls silent: told at midday, when habit
// says so; in the night nobody is woken. Offline it is another fault's matter.
func TestSilentSeller(t *testing.T) {
	online := true
	s := open(t, Options{Online: func() bool { return online }})
	s.later(8 * time.Hour)
	if s.m.Quiet(s.at) || s.m.LostPerHour(s.at) != 0 {
		t.Error("habit is claimed before anything was watched")
	}
	week(s, 4)
	if s.m.s.Profile.watched() < enoughHours {
		t.Fatalf("watched %.0f h", s.m.s.Profile.watched())
	}
	s.said = nil
	for s.at.Wall.Hour() != 22 {
		s.later(time.Hour)
	}
	s.busSale("cashless", 12, 200)
	s.said = nil
	s.later(9 * time.Hour) // 22 to 7: usual
	s.want()
	online = false
	s.later(4 * time.Hour)
	s.want()
	online = true
	s.later(10 * time.Minute)
	s.want("silent_seller begins inferred")
	s.busSale("cashless", 12, 200)
	s.want("silent_seller ends inferred")
}

// What an hour away costs, and when hardly anything is sold.
func TestHabit(t *testing.T) {
	s := open(t, Options{Offset: 8 * time.Hour})
	week(s, 5)
	at := func(h int) instant.Instant {
		i := s.at
		i.Wall = time.Date(2026, 12, 9, h, 20, 0, 0, time.UTC)
		return i
	}
	if v := s.m.LostPerHour(at(12)); v < 400 || v > 800 {
		t.Errorf("an hour at noon is worth %d, sold were three of 200", v)
	}
	if v := s.m.LostPerHour(at(4)); v > 150 {
		t.Errorf("an hour at four in the night is worth %d", v)
	}
	if s.m.Quiet(at(12)) || !s.m.Quiet(at(4)) {
		t.Errorf("quiet at noon %v, at four %v", s.m.Quiet(at(12)), s.m.Quiet(at(4)))
	}
	untrusted := at(4)
	untrusted.Trusted = false
	if s.m.Quiet(untrusted) {
		t.Error("quiet by a clock that is not trusted")
	}
	v := s.m.View(at(20))
	if v.Usual < 0 || v.LostValue != s.m.LostPerHour(at(20)) {
		t.Errorf("view %+v", v)
	}
}

// A silent seller where only audits count: two windows of nothing.
func TestSilentSellerByAudits(t *testing.T) {
	s := open(t, Options{})
	for range 2 * 30 {
		s.read()
		for range 12 {
			s.board.Sell(1, false)
		}
		s.later(12 * time.Hour)
	}
	s.read()
	s.said = nil
	s.later(12 * time.Hour)
	s.read()
	s.later(12 * time.Hour)
	if !slices.Contains(s.said, "silent_seller begins inferred") {
		t.Errorf("said %v", s.said)
	}
}

// Whatever comes, in whatever order: nothing panics, all stays bounded, and the state
// can be kept and read again.
func FuzzMachine(f *testing.F) {
	f.Add([]byte("DXS*A\r\nVA1*5*1\r\nPA1*1*5*X*5*5***1*2\r\nPA2*1*5\r\nEA2*EJB_1*1*1**1\r\nDXE*1*1\r\n"), uint64(1))
	f.Fuzz(func(t *testing.T, text []byte, seed uint64) {
		rng := rand.New(rand.NewPCG(seed, 1))
		m, err := New(Options{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		at := instant.Instant{Boot: "b", Wall: time.Unix(1.8e9, 0), Trusted: true}
		kinds := []mdb.Kind{mdb.Sale, mdb.Failed, mdb.Fault, mdb.FaultOver, mdb.Silent, mdb.Speaks, mdb.Tubes, mdb.Stacker, mdb.Wanted}
		for i := range 60 {
			at = at.Add(time.Duration(rng.IntN(7200)) * time.Second)
			at.Trusted = rng.IntN(4) > 0
			var ev Event = Tick{At{at}}
			switch rng.IntN(5) {
			case 0:
				ev = AuditRead{At{at}, uint64(i), "dex", text}
			case 1:
				ev = ReadFailed{At{at}, "dex", "lost"}
			case 2, 3:
				ev = Heard{At{at}, mdb.Event{Kind: kinds[rng.IntN(len(kinds))], Code: "coin_jam", Item: rng.IntN(99) - 1, Price: rng.Int64N(500) - 1,
					Pay: "cashless", Tubes: make([]mdb.Tube, rng.IntN(4))}}
			}
			for _, e := range m.Step(ev) {
				if e.Persist == nil {
					continue
				}
				back, err := New(Options{}, e.Persist)
				if err != nil {
					t.Fatal(err)
				}
				if rng.IntN(4) == 0 {
					m = back
				}
			}
			if len(m.s.Notices) > maxStanding || len(m.s.Stock) > maxStock {
				t.Fatalf("%d notices, %d columns", len(m.s.Notices), len(m.s.Stock))
			}
			if _, err := json.Marshal(m.View(at)); err != nil {
				t.Fatal(err)
			}
		}
	})
}
