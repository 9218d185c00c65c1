package wayout

import (
	"bytes"
	"testing"
	"testing/fstest"

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
		if err != nil && (r.Addrs != nil || r.RCode != 0) {
			t.Errorf("an error and an answer: %+v, %v", r, err)
		}
		if len(r.Addrs) > maxAnswers {
			t.Errorf("%d addresses", len(r.Addrs))
		}
		if err == nil && (len(b) < 12 || b[0] != 0 || b[1] != 7 || b[2]&0x80 == 0) {
			t.Errorf("took %x, which does not answer question 7", b)
		}
	})
}

func FuzzResolvConf(f *testing.F) {
	f.Add([]byte("nameserver 192.0.2.53\nnameserver fe80::1%wwan0\n# x\nsearch a b\nnameserver\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, a := range SystemResolvers(fstest.MapFS{"etc/resolv.conf": {Data: b}}) {
			if !a.IsValid() || a.Addr().IsUnspecified() || a.Addr().IsLoopback() {
				t.Errorf("%q gives %v", b, a)
			}
		}
	})
}
