package goodset

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

var day = time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC)

func open(pairs ...string) map[string]Setting {
	m := map[string]Setting{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = Setting{Value: pairs[i+1]}
	}
	return m
}

// A firmware reset wrote another APN, and nothing worked since.
func TestSettingThatChangedAndNeverWorkedIsTheFirstSuspect(t *testing.T) {
	var b Book
	b.See(open("modem.apn", "cmiot", "modem.bands", "1,3,8", "pay.terminal", "T-77"))
	if !b.AllWorks(day) {
		t.Fatal("the first good set was not kept")
	}
	b.See(open("modem.apn", "cmnet"))
	got := b.Suspects()
	if len(got) != 1 || got[0].Key != "modem.apn" || got[0].Old.Value != "cmiot" || got[0].New.Value != "cmnet" {
		t.Errorf("suspects %+v, want the APN", got)
	}
	b.AllWorks(day.Add(time.Hour)) // it works with the new one too
	if got := b.Suspects(); got != nil {
		t.Errorf("suspects %+v though all works", got)
	}
	if len(b.Good) != 2 || b.Good[0].ID != 2 {
		t.Errorf("kept %+v, want the new set first", b.Good)
	}
}

func TestMuteModemHasNotLostItsSettings(t *testing.T) {
	var b Book
	b.See(open("modem.apn", "cmiot"))
	b.AllWorks(day)
	if b.See(map[string]Setting{}) || b.Suspects() != nil {
		t.Errorf("nothing was read, and %+v is suspected", b.Suspects())
	}
}

func TestSettingThatIsGoneIsAChange(t *testing.T) {
	var b Book
	b.See(open("modem.apn", "cmiot", "dialer.file", "h1"))
	b.AllWorks(day)
	b.See(open("dialer.file", ""))
	if got := b.Suspects(); len(got) != 1 || got[0].New.Value != "" {
		t.Errorf("suspects %+v, want that the file is gone", got)
	}
}

func TestThreeGoodSetsAreKeptAndAnOldOneComesFirstAgain(t *testing.T) {
	var b Book
	for i := range 5 {
		b.See(open("modem.apn", fmt.Sprint("apn", i)))
		b.AllWorks(day.AddDate(0, 0, i))
	}
	ids := func() (out []int) {
		for _, s := range b.Good {
			out = append(out, s.ID)
		}
		return out
	}
	if !slices.Equal(ids(), []int{5, 4, 3}) {
		t.Errorf("kept %v", ids())
	}
	b.See(open("modem.apn", "apn3"))
	b.AllWorks(day)
	if !slices.Equal(ids(), []int{4, 5, 3}) {
		t.Errorf("kept %v, want the set that works now first", ids())
	}
}

func TestSecretsAreComparedAndNeverWrittenBack(t *testing.T) {
	var b Book
	b.See(map[string]Setting{"modem.auth": {Value: "hash1", Secret: true}, "modem.apn": {Value: "cmiot"}})
	b.AllWorks(day)
	b.See(map[string]Setting{"modem.auth": {Value: "hash2", Secret: true}, "modem.apn": {Value: "x"}})
	write, leave := b.Restore(b.Good[0])
	if len(write) != 1 || write[0].Key != "modem.apn" || write[0].New.Value != "cmiot" || !slices.Equal(leave, []string{"modem.auth"}) {
		t.Errorf("writes %+v, leaves %v", write, leave)
	}
}

func TestUnknownSetIsNamedWithThoseThatAre(t *testing.T) {
	var b Book
	if _, err := b.Find(1); err == nil || !strings.Contains(err.Error(), "no good set yet") {
		t.Error(err)
	}
	b.See(open("a", "1"))
	b.AllWorks(day)
	if _, err := b.Find(9); err == nil || err.Error() != "there is no good set 9; there are 1" {
		t.Error(err)
	}
}

// Whatever is read, what is kept stays small and comes back whole.
func FuzzBookStaysBounded(f *testing.F) {
	f.Add("modem.apn", "cmiot", true)
	f.Add("", strings.Repeat("x", 500), false)
	f.Fuzz(func(t *testing.T, key, value string, works bool) {
		var b Book
		read := map[string]Setting{}
		for i := range 60 {
			read[fmt.Sprint(key, i)] = Setting{Value: fmt.Sprint(value, i%7)}
		}
		for i := range 5 {
			read["turn"] = Setting{Value: fmt.Sprint(i)}
			b.See(read)
			if works {
				b.AllWorks(day)
			}
		}
		data, err := json.Marshal(b)
		if err != nil || len(data) > (maxSets+1)*maxKeys*(maxKey+maxValue+40)*2 {
			t.Fatalf("%d bytes kept, %v", len(data), err)
		}
		var back Book
		if err := json.Unmarshal(data, &back); err != nil {
			t.Fatal(err)
		}
		if len(Diff(b.Now, back.Now)) != 0 || len(b.Good) != len(back.Good) {
			t.Fatal("what was kept is not what came back")
		}
	})
}
