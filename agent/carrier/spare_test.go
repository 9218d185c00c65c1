package carrier

import (
	"cellwarden/modem/threegpp"
	"slices"
	"testing"
	"time"
)

// What may go of a store, by what it holds.
func TestSpareMessages(t *testing.T) {
	day := func(n int) time.Time { return time.Date(2026, 1, n, 9, 0, 0, 0, time.UTC) }
	const stop, ad, warning = "您的流量已用完，已停机", "优惠活动，回复TD退订", "余额不足，请及时充值"
	oldStop := threegpp.SMS{Index: 1, From: "10086", At: day(1), Text: stop}
	oldAd := threegpp.SMS{Index: 2, From: "10086", At: day(2), Text: ad}
	newAd := threegpp.SMS{Index: 3, From: "10086", At: day(9), Text: ad}
	other := threegpp.SMS{Index: 4, From: "13800138000", At: day(1), Text: stop}
	newest := threegpp.SMS{Index: 5, From: "10086", At: day(8), Text: warning}
	half := threegpp.SMS{Index: 6, From: "10086", At: day(3), Text: warning, Ref: 7, Parts: 2, Part: 1}
	rest := threegpp.SMS{Index: 7, From: "10086", At: day(3), Text: "谢谢", Ref: 7, Parts: 2, Part: 2}
	for _, x := range []struct {
		name   string
		listed []threegpp.SMS
		need   int
		want   []int
	}{
		{"room enough", []threegpp.SMS{oldStop, oldAd, newest}, 0, nil},
		{"one place: an advertisement before an older notice", []threegpp.SMS{oldStop, oldAd, newest}, 1, []int{2}},
		{"all that is needed: advertisements by age, then notices", []threegpp.SMS{newest, newAd, oldStop, oldAd}, 3, []int{2, 3, 1}},
		{"the newest notice stays, whatever is needed", []threegpp.SMS{oldStop, newest, newAd}, 9, []int{3, 1}},
		{"a single notice is the newest", []threegpp.SMS{newest}, 1, nil},
		{"an ordinary number's message is not ours", []threegpp.SMS{other, newest}, 1, nil},
		{"half of a long one stays", []threegpp.SMS{half, newest}, 1, nil},
		{"a long one goes whole", []threegpp.SMS{half, rest, newest}, 1, []int{6, 7}},
		{"nothing is understood", []threegpp.SMS{rest}, 1, nil},
		{"an empty store", nil, 3, nil},
	} {
		var got []int
		for _, s := range Spare(x.listed, x.need) {
			got = append(got, s.Index)
		}
		if !slices.Equal(got, x.want) {
			t.Errorf("%s: %v, want %v", x.name, got, x.want)
		}
	}
}
