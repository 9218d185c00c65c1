package platform

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/text/encoding/simplifiedchinese"
)

func init() {
	makers["csv"] = func(c *client) (Adapter, error) {
		if c.setting["file"] == "" {
			return nil, fmt.Errorf("csv wants the setting file")
		}
		return &csvFile{c: c}, nil
	}
}

// maxCSV bounds a file: a million cards with ten columns is some 100 MB.
const maxCSV = 128 << 20

type csvFile struct {
	c   *client
	mu  sync.Mutex
	mod time.Time
	all map[string]Status
	ids []string
}

// ReadCSV reads an export. Rows that cannot be used are left out and told of, by line;
// the others are kept.
func ReadCSV(m *Mapping, r io.Reader, now time.Time) (list []Status, bad []error, err error) {
	raw, err := io.ReadAll(io.LimitReader(r, maxCSV+1))
	if err != nil {
		return nil, nil, err
	}
	if len(raw) > maxCSV {
		return nil, nil, fmt.Errorf("the file is larger than 128 MB")
	}
	raw = bytes.TrimPrefix(raw, []byte("\xef\xbb\xbf"))
	if !utf8.Valid(raw) {
		if raw, err = simplifiedchinese.GBK.NewDecoder().Bytes(raw); err != nil || bytes.ContainsRune(raw, utf8.RuneError) {
			return nil, nil, fmt.Errorf("the file is neither UTF-8 nor GBK")
		}
	}
	c := &client{m: m, counts: map[string]int{}}
	d := csv.NewReader(bytes.NewReader(raw))
	d.FieldsPerRecord, d.TrimLeadingSpace, d.LazyQuotes = -1, true, true
	head, err := d.Read()
	if err != nil {
		return nil, nil, fmt.Errorf("line 1: no heads: %w", err)
	}
	col := map[string]int{}
	for i, h := range head {
		if f := m.Table["column"][strings.ToLower(strings.TrimSpace(h))]; f != "" {
			if _, twice := col[f]; twice {
				return nil, nil, fmt.Errorf("line 1: two columns hold %s", f)
			}
			col[f] = i
		}
	}
	if _, ok := col["iccid"]; !ok {
		return nil, nil, fmt.Errorf("line 1: no column is called iccid or 卡号")
	}
	// maxBad bounds what is told of: a file of another kind has a million bad lines.
	const maxBad = 100
	for {
		row, err := d.Read()
		if err == io.EOF {
			return list, bad, nil
		}
		line, s, rowErr := 0, Status{}, err
		if err == nil {
			line, _ = d.FieldPos(0)
			s, rowErr = c.row(row, col, now)
		}
		switch {
		case rowErr == nil:
			list = append(list, s)
		case len(bad) < maxBad:
			if line > 0 { // the reader's own errors name their line
				rowErr = fmt.Errorf("line %d: %w", line, rowErr)
			}
			bad = append(bad, rowErr)
		}
	}
}

func (c *client) row(row []string, col map[string]int, now time.Time) (Status, error) {
	cell := func(name string) node {
		if i, ok := col[name]; ok && i < len(row) {
			return node{strings.Trim(row[i], " \t\"'")} // Excel keeps digits behind a ' or a tab
		}
		return node{}
	}
	s := Status{AsOf: now, CycleDay: c.m.Cycle}
	s.ICCID = cell("iccid").text()
	if err := CheckICCID(s.ICCID); err != nil {
		return s, err
	}
	s.State = c.look(&s, "state", "state", strings.ToLower(cell("state").text()))
	s.say(c.look(&s, "reason", "reason", strings.ToLower(cell("reason").text())))
	if s.State == "" && s.Reason == "" && cell("used").text() == "" {
		return s, fmt.Errorf("neither a state nor a usage")
	}
	unit := strings.ToUpper(cell("unit").text())
	if unit == "" {
		unit = c.m.Unit
	}
	var err error
	amount := func(name string) *uint64 {
		v, e := cell(name).volume(unit)
		switch {
		case e != nil:
			err = fmt.Errorf("%s: %w", name, e)
		case v == nil:
		case *v < 0:
			err = fmt.Errorf("%s is below nothing", name)
		default:
			u := uint64(*v)
			return &u
		}
		return nil
	}
	s.Used, s.Plan = amount("used"), amount("plan")
	if err != nil {
		return s, err
	}
	for name, t := range map[string]*time.Time{"as_of": &s.UsedAsOf, "expires": &s.ExpiresAt} {
		*t = cell(name).moment(c.m.zone, "2006/1/2 15:04:05", "2006/1/2 15:04", "2006/1/2", "2006-1-2")
		if cell(name).text() != "" && t.IsZero() {
			return s, fmt.Errorf("%s %q: want 2026-11-30 or 2026-11-30 10:00:00", name, clip(cell(name).text(), 30))
		}
	}
	if !s.UsedAsOf.IsZero() {
		s.AsOf = s.UsedAsOf
	}
	s.Pool = cell("pool").text()
	s.settle()
	return s, nil
}

// CheckICCID holds an ICCID to its form: 19 or 20 characters that begin with 89, digits
// but for a letter that China Mobile prints in some. A number that a spreadsheet rounded
// is refused: its card is not to be known any more.
func CheckICCID(s string) error {
	if strings.ContainsAny(s, ".+") && strings.ContainsAny(s, "eE") {
		return fmt.Errorf("the iccid was turned into a rounded number by a spreadsheet: format the column as text and export again")
	}
	if len(s) != 19 && len(s) != 20 {
		return fmt.Errorf("iccid of %d characters: want 19 or 20", len(s))
	}
	letters := 0
	for _, r := range s {
		switch {
		case r >= '0' && r <= '9':
		case r >= 'A' && r <= 'F':
			letters++
		default:
			return fmt.Errorf("iccid holds something else than digits and A to F")
		}
	}
	if letters > 2 || !strings.HasPrefix(s, "89") {
		return fmt.Errorf("iccid does not begin with 89")
	}
	if strings.HasSuffix(s, "00000") && strings.Trim(s[15:], "0") == "" && strings.Trim(s[6:], "0") != "" {
		return fmt.Errorf("the iccid ends in zeros as a spreadsheet writes them: format the column as text and export again")
	}
	return nil
}

func (f *csvFile) load() error {
	info, err := os.Stat(f.c.setting["file"])
	if err != nil {
		return f.c.errorf("read", Away, "", "the file cannot be read")
	}
	if info.ModTime().Equal(f.mod) {
		return nil
	}
	r, err := os.Open(f.c.setting["file"])
	if err != nil {
		return f.c.errorf("read", Away, "", "the file cannot be read")
	}
	defer r.Close()
	list, bad, err := ReadCSV(f.c.m, r, info.ModTime())
	if err != nil {
		e := f.c.errorf("read", Malformed, "", "")
		e.Text = clip(err.Error(), 200)
		return e
	}
	for range bad {
		f.c.count("row", "refused")
	}
	f.all, f.ids, f.mod = map[string]Status{}, nil, info.ModTime()
	for _, s := range list {
		if _, have := f.all[First19(s.ICCID)]; !have {
			f.ids = append(f.ids, First19(s.ICCID))
		}
		f.all[First19(s.ICCID)] = s
	}
	return nil
}

func (f *csvFile) Card(_ context.Context, k Card) (Status, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.load(); err != nil {
		return Status{}, err
	}
	s, ok := f.all[First19(k.ICCID)]
	if !ok {
		return Status{}, f.c.errorf("read", NoCard, "", "")
	}
	return s, nil
}

func (f *csvFile) Page(context.Context, string) ([]Status, string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.load(); err != nil {
		return nil, "", err
	}
	var out []Status
	for _, id := range f.ids {
		out = append(out, f.all[id])
	}
	return out, "", nil
}

func (x *csvFile) base() *client { return x.c }
