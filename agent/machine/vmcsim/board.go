package vmcsim

import (
	"fmt"
	"strings"
	"sync"
)

// Column is one selection of the Board.
type Column struct {
	Name  string
	Price int64
	Count int64 // paid vends
	Value int64
	Free  int64
	Level int64
}

// Board is what the machine counts. Its methods may be called from several
// goroutines.
type Board struct {
	mu sync.Mutex

	Serial         string
	Auto           bool // a successful read clears what is counted since the last reset, and finished events
	Columns        []Column
	Cash, Cashless [2]int64 // count, value
	interim        [2]int64
	Reads, Resets  int64
	active, over   []string // event codes
	deleted        []string // events that a read has cleared
}

// NewBoard is a small machine of two columns.
func NewBoard(serial string) *Board {
	return &Board{Serial: serial, Auto: true, Columns: []Column{{Name: "11", Price: 150, Level: 20}, {Name: "12", Price: 200, Level: 20}}}
}

// Sell sells one of column i, for cash or not.
func (b *Board) Sell(i int, cash bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := &b.Columns[i]
	c.Count, c.Value, c.Level = c.Count+1, c.Value+c.Price, max(0, c.Level-1)
	b.interim[0], b.interim[1] = b.interim[0]+1, b.interim[1]+c.Price
	paid := &b.Cashless
	if cash {
		paid = &b.Cash
	}
	paid[0], paid[1] = paid[0]+1, paid[1]+c.Price
}

// Happened notes an event that is over, Stands one that stands.
func (b *Board) Happened(code string) { b.mu.Lock(); b.over = append(b.over, code); b.mu.Unlock() }

// Stands notes an event that stands until Ended.
func (b *Board) Stands(code string) { b.mu.Lock(); b.active = append(b.active, code); b.mu.Unlock() }

// Ended ends all that stands.
func (b *Board) Ended() {
	b.mu.Lock()
	b.over, b.active = append(b.over, b.active...), nil
	b.mu.Unlock()
}

// Deleted are the events that reads have cleared from the machine.
func (b *Board) Deleted() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.deleted...)
}

// Text is the audit, as the machine would send it now.
func (b *Board) Text() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var t strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&t, format+"\r\n", args...) }
	var count, value int64
	for _, c := range b.Columns {
		count, value = count+c.Count, value+c.Value
	}
	line("ST*001*0001")
	line("ID1*%s*SIM 2*0100", b.Serial)
	line("ID4*2*1978*EUR")
	line("CB1*B%s*SIM*0100", b.Serial)
	line("VA1*%d*%d*%d*%d", value, count, b.interim[1], b.interim[0])
	line("CA2*%d*%d", b.Cash[1], b.Cash[0])
	line("DA2*%d*%d", b.Cashless[1], b.Cashless[0])
	for _, c := range b.Columns {
		line("PA1*%s*%d*PRODUCT %s*20*20***%d*4", c.Name, c.Price, c.Name, c.Level)
		line("PA2*%d*%d", c.Count, c.Value)
		line("PA4*%d*0", c.Free)
	}
	for _, e := range b.over {
		line("EA1*%s*20261122*0310*5", e)
		line("EA2*%s*1*1", e)
	}
	for _, e := range b.active {
		line("EA2*%s*1*1**1", e)
	}
	line("EA3*%d*20261122*0421*CWD******%d*%d", b.Resets, b.Reads, b.Resets)
	body := t.String()
	segments := strings.Count(body, "\n") + 2
	return fmt.Sprintf("DXS*CWT%07d*VA*V0/6*1\r\n%sG85*%04X\r\nSE*%d*0001\r\nDXE*1*1\r\n", len(b.Serial), body, crc(body), segments)
}

// succeeded is what the machine does after a read that succeeded (SD105, SD106).
func (b *Board) succeeded() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.Reads++
	if !b.Auto {
		return
	}
	b.Resets++
	b.interim = [2]int64{}
	b.deleted = append(b.deleted, b.over...)
	b.over = nil
}

// crc is CRC-16/ARC, bit by bit.
func crc(s string) uint16 {
	var c uint16
	for i := range len(s) {
		c ^= uint16(s[i])
		for range 8 {
			if c&1 != 0 {
				c = c>>1 ^ 0xA001
			} else {
				c >>= 1
			}
		}
	}
	return c
}
