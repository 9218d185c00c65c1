package probe

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
)

// errNotOurs is a datagram that does not answer the question that was asked.
var errNotOurs = errors.New("not the answer to this question")

// reply is what a DNS server said.
type reply struct {
	rcode     dnsmessage.RCode
	addrs     []netip.Addr
	ttl       time.Duration // the smallest of the records used
	truncated bool
}

// question makes the question section for one name.
func question(host string, t dnsmessage.Type) (dnsmessage.Question, error) {
	host = strings.TrimSuffix(host, ".")
	if host == "" || strings.ContainsAny(host, " \t\r\n") {
		return dnsmessage.Question{}, notSentError(fmt.Sprintf("%q is not a name", host))
	}
	name, err := dnsmessage.NewName(host + ".")
	if err != nil {
		return dnsmessage.Question{}, notSentError(fmt.Sprintf("%q is not a name", host))
	}
	return dnsmessage.Question{Name: name, Type: t, Class: dnsmessage.ClassINET}, nil
}

// parseReply reads one datagram. It returns errNotOurs unless id and question
// are the asked ones, so that a late or forged answer is never taken.
func parseReply(b []byte, id uint16, q dnsmessage.Question) (reply, error) {
	var p dnsmessage.Parser
	h, err := p.Start(b)
	if err != nil {
		return reply{}, fmt.Errorf("malformed answer: %w", err)
	}
	if !h.Response || h.ID != id {
		return reply{}, errNotOurs
	}
	asked, err := p.Question()
	if err != nil && h.RCode != dnsmessage.RCodeSuccess && h.RCode != dnsmessage.RCodeNameError {
		// A server that refuses may leave the question out (RFC 1035 §4.1.1
		// FORMERR); the id and the connected socket are all there is.
		return reply{rcode: h.RCode}, nil
	}
	if err != nil {
		return reply{}, fmt.Errorf("malformed answer: %w", err)
	}
	if asked.Type != q.Type || asked.Class != q.Class || !sameName(asked.Name, q.Name) {
		return reply{}, errNotOurs
	}
	if err := p.SkipAllQuestions(); err != nil {
		return reply{}, fmt.Errorf("malformed answer: %w", err)
	}
	r := reply{rcode: h.RCode, truncated: h.Truncated}
	want := q.Name // moves along the chain of CNAMEs
	for range maxAnswers {
		rh, err := p.AnswerHeader()
		if errors.Is(err, dnsmessage.ErrSectionDone) {
			return r, nil
		}
		if err != nil {
			return reply{}, fmt.Errorf("malformed answer: %w", err)
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
			r.addrs = append(r.addrs, netip.AddrFrom4(a.A))
			r.keepTTL(ttl)
		case rh.Type == dnsmessage.TypeAAAA && q.Type == dnsmessage.TypeAAAA:
			var a dnsmessage.AAAAResource
			a, err = p.AAAAResource()
			r.addrs = append(r.addrs, netip.AddrFrom16(a.AAAA))
			r.keepTTL(ttl)
		default:
			err = p.SkipAnswer()
		}
		if err != nil {
			return reply{}, fmt.Errorf("malformed answer: %w", err)
		}
	}
	return r, nil
}

func (r *reply) keepTTL(ttl time.Duration) {
	if r.ttl == 0 || ttl < r.ttl {
		r.ttl = ttl
	}
}

func sameName(a, b dnsmessage.Name) bool { return strings.EqualFold(a.String(), b.String()) }

// share gives the context its part of the time that is left.
func share(ctx context.Context, parts int) (context.Context, context.CancelFunc) {
	t, ok := ctx.Deadline()
	if !ok || parts < 2 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(t)/time.Duration(parts))
}

// exchange asks the servers in turn, each for its share of the time, and
// returns the first answer. The note is that of Env.dial.
func (e Env) exchange(ctx context.Context, servers []netip.AddrPort, q dnsmessage.Question) (reply, string, error) {
	servers = servers[:min(len(servers), maxServers)]
	err := error(ErrNoServer)
	var unhelpful reply // a server that refused, while the next one is asked
	said := false
	for i, s := range servers {
		part, cancel := share(ctx, len(servers)-i)
		r, note, oneErr := e.exchangeOne(part, s, q)
		cancel()
		if oneErr == nil && (r.decides() || i == len(servers)-1) {
			return r, note, nil
		}
		if oneErr == nil {
			unhelpful, said = r, true
			continue
		}
		// Of two failures the one that was sent says more.
		if i == 0 || judge(err).result == NotSent {
			err = oneErr
		}
	}
	if said {
		return unhelpful, "", nil
	}
	return reply{}, "", err
}

// decides reports whether another server need not be asked.
func (r reply) decides() bool {
	return r.rcode == dnsmessage.RCodeSuccess || r.rcode == dnsmessage.RCodeNameError
}

// exchangeOne asks one server over UDP, and once more when half the time has
// passed: one lost datagram on a bad radio is not a silent resolver.
func (e Env) exchangeOne(ctx context.Context, server netip.AddrPort, q dnsmessage.Question) (reply, string, error) {
	id := uint16(rand.Uint32())
	msg := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: id, RecursionDesired: true},
		Questions: []dnsmessage.Question{q},
	}
	packed, err := msg.Pack()
	if err != nil {
		return reply{}, "", notSentError(fmt.Sprintf("%q is not a name", q.Name))
	}
	conn, note, err := e.dial(ctx, "udp", server)
	if err != nil {
		return reply{}, note, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	waits := []time.Time{{}} // zero: until ctx ends
	if t, ok := ctx.Deadline(); ok {
		waits = []time.Time{time.Now().Add(time.Until(t) / 2), t}
	}
	buf := make([]byte, maxReply)
	var lastErr error
	for _, until := range waits {
		if err := conn.SetDeadline(until); err != nil {
			return reply{}, note, err
		}
		if ctx.Err() != nil { // after SetDeadline, which may have undone what stop's function did
			break
		}
		if _, err := conn.Write(packed); err != nil {
			return reply{}, note, err
		}
		for range maxDatagrams {
			n, err := conn.Read(buf)
			if err != nil {
				lastErr = err
				break
			}
			r, err := parseReply(buf[:n], id, q)
			if err == nil {
				return r, note, nil
			}
			lastErr = err
		}
		if judge(lastErr).result == Refused {
			return reply{}, note, lastErr
		}
	}
	if ctx.Err() != nil {
		return reply{}, note, ctx.Err()
	}
	return reply{}, note, lastErr
}

// probeDNS asks for the A record of Host. What it tells of is the resolver,
// not the name: an answer without an address still is an answer.
func probeDNS(ctx context.Context, e Env, s Spec) outcome {
	q, err := question(s.Host, dnsmessage.TypeA)
	if err != nil {
		return judge(err)
	}
	servers := e.Resolver
	if s.Server.IsValid() {
		servers = []netip.AddrPort{s.Server}
	}
	r, note, err := e.exchange(ctx, servers, q)
	if err != nil {
		o := judge(err)
		if o.result == NotSent && isMalformed(err) {
			// Something answered on that port, but not a resolver.
			o = outcome{Timeout, "only unusable answers came"}
		}
		return o
	}
	switch r.rcode {
	case dnsmessage.RCodeSuccess:
	case dnsmessage.RCodeNameError:
		return outcome{NXDomain, note}
	case dnsmessage.RCodeServerFailure:
		return outcome{Refused, "server failure"}
	case dnsmessage.RCodeRefused:
		return outcome{Refused, note}
	default:
		return outcome{Refused, fmt.Sprintf("rcode %d", r.rcode)}
	}
	switch {
	case len(r.addrs) == 0:
		return outcome{OK, "no address for the name"}
	case !public(r.addrs[0]):
		// A walled garden often answers every name with its own private host.
		return outcome{OK, "answered a private address " + r.addrs[0].String()}
	}
	return outcome{OK, note}
}

func isMalformed(err error) bool {
	return errors.Is(err, errNotOurs) || strings.HasPrefix(err.Error(), "malformed answer")
}

// sharedSpace is RFC 6598, what carriers use behind their own NAT.
var sharedSpace = netip.MustParsePrefix("100.64.0.0/10")

func public(a netip.Addr) bool {
	return a.IsGlobalUnicast() && !a.IsPrivate() && !sharedSpace.Contains(a)
}
