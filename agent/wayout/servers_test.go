package wayout

import (
	"net/netip"

	"golang.org/x/net/dns/dnsmessage"
)

// dnsAnswer makes the datagrams that answer one query; nil is silence.
type dnsAnswer func(query dnsmessage.Message) [][]byte

// pack makes the answer to q with the given code and resources.
func pack(q dnsmessage.Message, code dnsmessage.RCode, answers ...dnsmessage.Resource) []byte {
	q.Header.Response = true
	q.Header.RCode = code
	q.Answers = answers
	b, err := q.Pack()
	if err != nil {
		panic(err)
	}
	return b
}

func resource(name string, ttl uint32, body dnsmessage.ResourceBody) dnsmessage.Resource {
	return dnsmessage.Resource{
		Header: dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(name), Class: dnsmessage.ClassINET, TTL: ttl},
		Body:   body,
	}
}

func recordA(name string, ttl uint32, a string) dnsmessage.Resource {
	return resource(name, ttl, &dnsmessage.AResource{A: netip.MustParseAddr(a).As4()})
}

func one(b []byte) [][]byte { return [][]byte{b} }
