package platform

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"cellwarden/protocol/backend/platform/platformtest"
)

func cardNo(i int) Card { return Card{ICCID: fmt.Sprintf("898604000000%07d5", i)} }

// A thousand machines fall silent while the sweep runs: they are asked first, and the
// account's limit holds in every second.
func TestSilentMachinesAreAskedFirst(t *testing.T) {
	play(t, func(t *testing.T) {
		m := platformtest.NewOneLink("100123", "cwDemoPass")
		m.PerSecond = 5
		var all []Card
		for i := range 1000 {
			all = append(all, cardNo(i))
			m.Set(cardNo(i).ICCID, platformtest.OneLinkCard{Platform: "OneLink-PB", Status: "00", Used: "10.00"})
		}
		var got []Answer
		w := NewWorker(open(t, oneLinkAccount, m), func(a Answer) { got = append(got, a) })
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { w.Run(ctx); close(done) }()
		w.Know(all)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		sweeps := 0
		for _, a := range got {
			if a.Why == Sweep {
				sweeps++
			}
		}
		// 5 min at 5 a second are 1,500 calls, of which the sweep may make 150.
		calls, _, _ := m.Seen()
		if sweeps == 0 || calls > 190 {
			t.Errorf("the sweep made %d jobs of %d calls", sweeps, calls)
		}
		before := len(got)
		for i := 500; i < 520; i++ {
			w.Want(cardNo(i))
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		late := 0
		for _, a := range got[before:] {
			if a.Why != Urgent && late == 0 {
				t.Errorf("%s before the silent machines", a.Why)
			}
			if a.Why == Urgent {
				late++
			}
			if late == 20 {
				break
			}
		}
		if late != 20 {
			t.Errorf("%d of 20 silent machines were asked for", late)
		}
		if _, _, worst := m.Seen(); worst > 5 {
			t.Errorf("%d calls within one second", worst)
		}
		cancel()
		<-done
	})
}

// A card is asked again while its machine is silent: after 5, 10, 20, 40 and then each
// 60 minutes; and no more when the machine is back.
func TestASilentMachineIsAskedLessAndLess(t *testing.T) {
	s := NewSchedule(time.Second, 0, time.UTC)
	s.Wants(cardNo(1), noon)
	var at []time.Duration
	for now := noon; now.Before(noon.Add(4 * time.Hour)); now = now.Add(time.Minute) {
		if job, _, ok := s.Next(now); ok && job.Why == Urgent {
			at = append(at, now.Sub(noon))
			s.Done(job, 1, nil, now)
		} else if ok {
			s.Done(job, 1, nil, now)
		}
		s.Wants(cardNo(1), now)
	}
	if got := fmt.Sprint(at); got != "[0s 5m0s 15m0s 35m0s 1h15m0s 2h15m0s 3h15m0s]" {
		t.Error(got)
	}
	s.Calm(cardNo(1))
	if job, _, ok := s.Next(noon.Add(20 * time.Hour)); ok && job.Why == Urgent {
		t.Error("asked though the machine is back")
	}
}

// Ten thousand cards are a hundred calls a day where batches hold a hundred; one that
// fails is asked once more, and a card that nobody knows rests a week.
func TestTheDailyBatch(t *testing.T) {
	zone := time.FixedZone("", 8*3600)
	s := NewSchedule(200*time.Millisecond, 100, zone)
	for i := range 10_000 {
		s.Card(cardNo(i))
	}
	s.Wants(cardNo(7), noon)
	job, _, _ := s.Next(noon)
	s.Done(job, 1, &Error{Kind: NoCard}, noon)
	calls, cards := 0, map[string]bool{}
	for now := noon; now.Before(noon.Add(10 * time.Minute)); now = now.Add(200 * time.Millisecond) {
		job, _, ok := s.Next(now)
		if !ok || job.Why != Daily {
			continue
		}
		calls++
		if calls == 50 {
			s.Done(job, 1, &Error{Kind: Away}, now)
			continue
		}
		for _, c := range job.Cards {
			cards[c.ICCID] = true
		}
		s.Done(job, 1, nil, now)
	}
	if calls != 101 || len(cards) != 9999 || cards[cardNo(7).ICCID] {
		t.Errorf("%d calls for %d cards, want 101 for 9999", calls, len(cards))
	}
	if job, _, ok := s.Next(noon.Add(24 * time.Hour)); !ok || job.Why != Daily {
		t.Error("no batch on the next day")
	}
}

// A refused login stops the account for a quarter of an hour, and nothing is lost.
func TestARefusalStopsTheSchedule(t *testing.T) {
	s := NewSchedule(time.Second, 0, time.UTC)
	s.Wants(cardNo(1), noon)
	job, _, _ := s.Next(noon)
	s.Done(job, 1, &Error{Kind: Refused}, noon)
	if _, wait, ok := s.Next(noon.Add(14 * time.Minute)); ok || wait != time.Minute {
		t.Errorf("asks again after 14 min; waits %v", wait)
	}
	if job, _, ok := s.Next(noon.Add(15 * time.Minute)); !ok || job.Why != Urgent {
		t.Error("the card was forgotten")
	}
}
