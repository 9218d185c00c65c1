package uplink

import "testing"

// BenchmarkDrain is the drain of a backlog over TCP to an embedded broker, with
// no limit of rate: ns per event.
func BenchmarkDrain(b *testing.B) {
	addr, _ := embedded(b)
	s := newStore(b)
	for i := range b.N {
		s.event(i)
	}
	b.ResetTimer()
	r := start(b, s, func(o *Options) { o.Brokers = []string{"tcp://" + addr} })
	r.empty()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
