package wayout

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// Bounds of one DNS exchange.
const (
	// maxServers: the carrier names two; more only lengthens a timeout.
	maxServers = 2
	// maxDatagrams is how many strange datagrams are read before giving up: the
	// socket is connected, so an honest network sends none.
	maxDatagrams = 16
	// maxReply is what is read of a datagram. Without EDNS an answer has at most
	// 512 bytes (RFC 1035 §2.3.4); more room only shows that it was too long.
	maxReply = 1232
	// maxAnswers bounds the records read of one answer.
	maxAnswers = 64
	// Headers of UDP and IP on each datagram.
	headers4, headers6 = 28, 48
)

// ErrNotOurs is a datagram that does not answer the question that was asked.
var ErrNotOurs = errors.New("not the answer to this question")

var errMalformed = errors.New("malformed answer")

// Reply is what a DNS server said.
type Reply struct {
	RCode     dnsmessage.RCode
	Addrs     []netip.Addr
	TTL       time.Duration // the smallest of the records used
	Truncated bool
	Note      string // as of Way.Dial
	Air       int    // bytes of all questions and answers with the headers of UDP and IP
}

// Question makes the question section for one name.
func Question(host string, t dnsmessage.Type) (dnsmessage.Question, error) {
	host = strings.TrimSuffix(host, ".")
	if host == "" || strings.ContainsAny(host, " \t\r\n") {
		return dnsmessage.Question{}, NotSent(fmt.Sprintf("%q is not a name", host))
	}
	name, err := dnsmessage.NewName(host + ".")
	if err != nil {
		return dnsmessage.Question{}, NotSent(fmt.Sprintf("%q is not a name", host))
	}
	return dnsmessage.Question{Name: name, Type: t, Class: dnsmessage.ClassINET}, nil
}

// parseReply reads one datagram. It returns ErrNotOurs unless id and question
// are the asked ones, so that a late or forged answer is never taken.
func parseReply(b []byte, id uint16, q dnsmessage.Question) (Reply, error) {
	var p dnsmessage.Parser
	h, err := p.Start(b)
	if err != nil {
		return Reply{}, fmt.Errorf("%w: %w", errMalformed, err)
	}
	if !h.Response || h.ID != id {
		return Reply{}, ErrNotOurs
	}
	asked, err := p.Question()
	if err != nil && h.RCode != dnsmessage.RCodeSuccess && h.RCode != dnsmessage.RCodeNameError {
		// A server that refuses may leave the question out (RFC 1035 §4.1.1
		// FORMERR); the id and the connected socket are all there is.
		return Reply{RCode: h.RCode}, nil
	}
	if err != nil {
		return Reply{}, fmt.Errorf("%w: %w", errMalformed, err)
	}
	if asked.Type != q.Type || asked.Class != q.Class || !sameName(asked.Name, q.Name) {
		return Reply{}, ErrNotOurs
	}
	if err := p.SkipAllQuestions(); err != nil {
		return Reply{}, fmt.Errorf("%w: %w", errMalformed, err)
	}
	r := Reply{RCode: h.RCode, Truncated: h.Truncated}
	want := q.Name // moves along the chain of CNAMEs
	for range maxAnswers {
		rh, err := p.AnswerHeader()
		if errors.Is(err, dnsmessage.ErrSectionDone) {
			return r, nil
		}
		if err != nil {
			return Reply{}, fmt.Errorf("%w: %w", errMalformed, err)
		}
		ttl := time.Duration(rh.TTL) * time.Second
		switch {
		case !sameName(rh.Name, want) || rh.Class != q.Class:
			err = p.SkipAnswer()
		case rh.Type == dnsmessage.TypeCNAME:
			var c dnsmessage.CNAMEResource
			c, err = p.CNAMEResource()
			want = c.CNAME
			r.keepTTL(ttl)
		case rh.Type == dnsmessage.TypeA && q.Type == dnsmessage.TypeA:
			var a dnsmessage.AResource
			a, err = p.AResource()
			r.Addrs = append(r.Addrs, netip.AddrFrom4(a.A))
			r.keepTTL(ttl)
		case rh.Type == dnsmessage.TypeAAAA && q.Type == dnsmessage.TypeAAAA:
			var a dnsmessage.AAAAResource
			a, err = p.AAAAResource()
			r.Addrs = append(r.Addrs, netip.AddrFrom16(a.AAAA))
			r.keepTTL(ttl)
		default:
			err = p.SkipAnswer()
		}
		if err != nil {
			return Reply{}, fmt.Errorf("%w: %w", errMalformed, err)
		}
	}
	return r, nil
}

func (r *Reply) keepTTL(ttl time.Duration) {
	if r.TTL == 0 || ttl < r.TTL {
		r.TTL = ttl
	}
}

func sameName(a, b dnsmessage.Name) bool { return strings.EqualFold(a.String(), b.String()) }

// Exchange asks the servers in turn, each for its share of the time, and returns the
// first answer. After a failure Reply has Note and Air only.
func (w Way) Exchange(ctx context.Context, servers []netip.AddrPort, q dnsmessage.Question) (Reply, error) {
	servers = servers[:min(len(servers), maxServers)]
	err := error(ErrNoServer)
	var unhelpful Reply // a server that refused, while the next one is asked
	said, air := false, 0
	for i, s := range servers {
		part, cancel := share(ctx, len(servers)-i)
		r, oneErr := w.exchangeOne(part, s, q)
		cancel()
		air += r.Air
		r.Air = air
		if oneErr == nil && (r.decides() || i == len(servers)-1) {
			return r, nil
		}
		if oneErr == nil {
			unhelpful, said = r, true
			continue
		}
		// Of two failures the one that was sent says more.
		if i == 0 || !Sent(err) {
			err = oneErr
		}
	}
	if said {
		unhelpful.Air = air
		return unhelpful, nil
	}
	return Reply{Air: air}, err
}

// decides reports whether another server need not be asked.
func (r Reply) decides() bool {
	return r.RCode == dnsmessage.RCodeSuccess || r.RCode == dnsmessage.RCodeNameError
}

// exchangeOne asks one server over UDP, and once more when half the time has
// passed: one lost datagram on a bad radio is not a silent resolver.
func (w Way) exchangeOne(ctx context.Context, server netip.AddrPort, q dnsmessage.Question) (Reply, error) {
	id := uint16(rand.Uint32())
	msg := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: id, RecursionDesired: true},
		Questions: []dnsmessage.Question{q},
	}
	packed, err := msg.Pack()
	if err != nil {
		return Reply{}, NotSent(fmt.Sprintf("%q is not a name", q.Name))
	}
	conn, note, err := w.Dial(ctx, "udp", server)
	out := Reply{Note: note}
	if err != nil {
		return out, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	headers := headers4
	if server.Addr().Unmap().Is6() {
		headers = headers6
	}

	waits := []time.Time{{}} // zero: until ctx ends
	if t, ok := ctx.Deadline(); ok {
		waits = []time.Time{time.Now().Add(time.Until(t) / 2), t}
	}
	buf := make([]byte, maxReply)
	var lastErr error
	for _, until := range waits {
		if err := conn.SetDeadline(until); err != nil {
			return out, err
		}
		if ctx.Err() != nil { // after SetDeadline, which may have undone what stop's function did
			break
		}
		if _, err := conn.Write(packed); err != nil {
			return out, err
		}
		out.Air += headers + len(packed)
		for range maxDatagrams {
			n, err := conn.Read(buf)
			if err != nil {
				lastErr = err
				break
			}
			out.Air += headers + n
			r, err := parseReply(buf[:n], id, q)
			if err == nil {
				r.Note, r.Air = out.Note, out.Air
				return r, nil
			}
			lastErr = err
		}
		if f, _ := Judge(lastErr); f == Refused {
			return out, lastErr
		}
	}
	if ctx.Err() != nil {
		return out, ctx.Err()
	}
	return out, lastErr
}

// Malformed reports whether something answered that is no resolver.
func Malformed(err error) bool {
	return errors.Is(err, ErrNotOurs) || errors.Is(err, errMalformed)
}
