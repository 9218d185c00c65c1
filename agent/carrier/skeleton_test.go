package carrier

import (
	"slices"
	"strings"
	"testing"
)

// TestSkeletonKeepsTheMeaning and nothing else.
func TestSkeletonKeepsTheMeaning(t *testing.T) {
	n, same := 0, 0
	for _, file := range []string{"messages", "unseen", "unseen2", "unseen3", "unseen4", "unseen5", "unseen6", "unseen7"} {
		for _, m := range loadMessages(t, "testdata/"+file+".txt") {
			n++
			if got := Classify("", Skeleton(m.text)); got == Classify("", m.text) || slices.Contains(m.want, got) {
				same++
			} else {
				t.Logf("%s, as a skeleton %s: %s", got, Skeleton(m.text), m.text)
			}
		}
	}
	t.Logf("%d of %d read alike", same, n)
	if same*100 < n*98 {
		t.Errorf("only %d of %d are read alike", same, n)
	}
	got := Skeleton("尊敬的欧阳淑芬，您的号码13912345678因欠费18.60元已被停，详询 ms.garcia@example.com")
	for _, secret := range []string{"欧阳", "淑芬", "1391234", "garcia"} {
		if strings.Contains(got, secret) {
			t.Errorf("%q is in %s", secret, got)
		}
	}
}

// TestPiecesStayReadable: two pieces that were recorded join as they did live.
func TestPiecesStayReadable(t *testing.T) {
	for _, m := range []struct {
		pieces [2]string
		want   Meaning
	}{
		{[2]string{"尊敬的客户，您的号码1064****5508因账户余额不足，已于8月12日09时被停", "机，请您尽快充值，充值后将为您恢复服务。【中国联通】"}, StopArrears},
		{[2]string{"【中国电信】您的物联网卡本月流量已用", "尽，根据约定已断网，下月1日自动恢复。"}, StopQuota},
	} {
		var parts []Part
		for i, piece := range m.pieces {
			p := Part{From: "10010", Text: piece, Ref: 9, Parts: 2, Part: i + 1}
			if !NeedsText(p) {
				t.Errorf("%s: a piece, and only its meaning is kept", piece)
			}
			p.From, p.Text = "", Skeleton(piece)
			parts = append(parts, p)
		}
		if got := Classify("", Joined(parts).Text); got != m.want {
			t.Errorf("%s: %s, want %s", Joined(parts).Text, got, m.want)
		}
	}
	for _, p := range []Part{{From: "10086", Text: "您的号码已停机。"}, {From: "13912345678", Text: "明天见"}} {
		if NeedsText(p) {
			t.Errorf("%s: its words are kept", p.Text)
		}
	}
}
