package probe

import (
	"bytes"
	"net/url"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

func FuzzParseReply(f *testing.F) {
	q := dnsmessage.Question{Name: dnsmessage.MustNewName("page.example."), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}
	msg := dnsmessage.Message{Header: dnsmessage.Header{ID: 7, Response: true}, Questions: []dnsmessage.Question{q}}
	good := pack(msg, dnsmessage.RCodeSuccess,
		resource("page.example.", 60, &dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName("cdn.example.")}),
		recordA("cdn.example.", 60, "192.0.2.1"))
	f.Add(good)
	for _, n := range []int{0, 11, 12, 20, len(good) - 1} {
		f.Add(good[:n])
	}
	loop := bytes.Clone(good)
	loop[12], loop[13] = 0xc0, 12 // a name that points at itself
	f.Add(loop)
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseReply(b, 7, q)
		if err != nil && (r.addrs != nil || r.rcode != 0) {
			t.Errorf("an error and an answer: %+v, %v", r, err)
		}
		if len(r.addrs) > maxAnswers {
			t.Errorf("%d addresses", len(r.addrs))
		}
		if err == nil && (len(b) < 12 || b[0] != 0 || b[1] != 7 || b[2]&0x80 == 0) {
			t.Errorf("took %x, which does not answer question 7", b)
		}
	})
}

func FuzzParseNTP(f *testing.F) {
	req := make([]byte, ntpSize)
	f.Add(ntpAnswer(req, time.Unix(1795000000, 0)), uint64(0))
	f.Add([]byte{}, uint64(1))
	f.Fuzz(func(t *testing.T, b []byte, cookie uint64) {
		recv, xmit, err := parseNTP(b, cookie)
		if err == nil && (recv.Unix() < ntpPivot || xmit.Unix() < ntpPivot) {
			t.Errorf("a time before 2020: %v %v", recv, xmit)
		}
	})
}

func FuzzHostOfTarget(f *testing.F) {
	f.Add("mqtts://user:secret@h:8883/x")
	f.Add("http://[::1%25eth0]/")
	f.Add("%zz")
	f.Fuzz(func(t *testing.T, s string) {
		shown := shownHost(Spec{Probe: Broker, Host: s})
		if u, err := url.Parse(s); err == nil && u.User != nil {
			if p, ok := u.User.Password(); ok && len(p) > 3 && bytes.Contains([]byte(shown), []byte(p)) && !bytes.Contains([]byte(u.Host), []byte(p)) {
				t.Errorf("%q shows the password", shown)
			}
		}
	})
}
