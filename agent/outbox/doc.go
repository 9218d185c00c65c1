// Package outbox keeps messages on flash until somebody has taken them: a
// bounded, durable queue with four priorities.
//
// A record is accepted when the Commit after its Append returned nil: it is then
// on the flash and survives a power cut at any instant. Append alone only stages
// it in memory. A record leaves the outbox only by Ack, or by eviction when the
// byte cap is reached, and then a Gap says so until AckGaps takes the report.
//
// What it does not do: it starts no goroutine and reads no clock; the caller
// stamps each record, asks Due and drives Commit and SyncAcks. It does not know
// what a payload means, and it does not talk to a network. All methods may be
// called from several goroutines.
//
// # What is promised
//
//   - Nothing accepted is lost, by kill -9 or power cut, except evicted and
//     reported. Within a priority, delivery is in the order of Append.
//   - A record is there as a whole or not at all. One that was being written when
//     the power went may be there although its Commit never returned.
//   - A sequence number that was ever delivered, accepted or found on the flash
//     names the same record for ever: the wire may dedupe on Epoch and Seq. One
//     that was only staged when the process ended was never seen by anybody
//     downstream and is drawn again.
//   - A crash forgets at most the last ackEvery acks since SyncAcks: these records
//     are delivered again, with the same number. Acks are never forgotten in a way
//     that loses a record.
//   - Damage (flipped bits, truncation, unreadable sectors) costs the records it
//     touches, no later ones, and is reported as a Gap. It never fails Open. Only
//     the very last record of a priority, if it is wiped out with its header, looks
//     like one that was never written. Where the number of a damaged record cannot
//     be read, the next number is 4096 further.
//
// # Space
//
// The directory holds at most CapBytes: one state file of 8 KB and segments of
// SegmentBytes, written full of zeros once and then recycled. (Writing into blocks
// that exist and hold data needs no metadata, so a durable record costs one 4 KB
// page; a growing or merely reserved file costs four.) Each priority has its own
// chain of segments. When a new segment is needed and the cap is reached, the
// oldest segment of the lowest priority that holds more than its reserve is
// dropped, never one of a higher priority than the record that needs it. The
// reserve is two segments for alerts (made when the store is made, so that alerts
// fit on a full disk too) and one for each other priority, so every priority can
// always store something: in the end each evicts its own oldest.
//
// # Commits
//
// A commit costs one write and one fdatasync per priority that has something
// staged. It starts at a 512 byte sector of its own, so a sector torn by a power
// cut never holds an accepted record, and at a new 4096 byte page where that
// touches fewer pages: a lone record of 300 bytes costs 4096 bytes of flash, 32 of
// them together 12288 (measured at the block layer of ext4: 4113 and 399 bytes a
// record). The first use of a segment, once in the life of the store, costs its
// zeros on top; Options.Prealloc pays that at Open. A failed commit leaves its
// records staged and is written again to the same place.
//
// # On the flash
//
// All numbers are little endian. All CRCs are CRC32C. A stamp is boot id u32,
// flags u32 (bit 0: wall clock trusted), milliseconds since boot i64, wall clock
// milliseconds since 1970 i64: 24 bytes.
//
// A segment, seg-NNNN: one header sector of 512 bytes, then records.
//
//	offset size
//	0      4    magic "CWsg"
//	4      2    version, 1
//	6      1    priority: 0 metric, 1 state, 2 event, 3 alert
//	7      1    zero
//	8      4    epoch of the store
//	12     4    generation: grows with each use of any segment, never drawn twice
//	16     4    size of the segment
//	20     8    every record in it has a larger sequence number than this
//	28     4    generation of the segment before in the chain, 0 if none; of that one:
//	32     2      number of records
//	34     2      how many of them are lost, and reported as lost
//	36     4      where they end
//	40     8      first sequence number
//	48     8      last sequence number
//	56     24     stamp of the last record
//	80     8    largest sequence number that a record on the flash had then
//	88     4    CRC of bytes 0..87; a later version keeps magic, version and this
//
// A record starts at a multiple of 8. The old use of a recycled segment is told
// apart by the generation.
//
//	0      2    magic C7 57
//	2      1    version, 1
//	3      1    bits 0-1 priority, bit 2 wall clock trusted, bit 3 first of a commit
//	4      2    length of the payload
//	6      2    index in the segment: 0, 1, 2 ... A hole is a lost record.
//	8      4    generation of the segment
//	12     4    boot id, first 8 hex digits
//	16     8    sequence number
//	24     8    milliseconds since boot
//	32     8    wall clock, milliseconds since 1970
//	40     4    CRC of the payload
//	44     4    CRC of bytes 0..43
//	48          payload
//
// The state file, state: two slots of 4096 bytes, written in turn, the valid one
// with the larger number counts. Its size never changes, so acks work on a full
// disk.
//
//	0      4    magic "CWst"
//	4      2    version, 1
//	6      2    number of gaps
//	8      8    number of this write
//	16     4    epoch
//	20     4    next generation
//	24     8    largest sequence number given to a record on the flash
//	32     352  per priority, 88 bytes: all up to this number are done u64, generation
//	            of the oldest live segment u32, number of runs u32, 8 spare bytes,
//	            8 times: generation of a damaged segment u32, losses reported u32
//	384    96   8 times: boot id u32, wall clock at its boot in ms i64
//	480    960  12 gaps of 80: priority u8, reason u8, count u64 at 8, first and
//	            last number u64, from and to stamps
//	1440   2048 4 priorities of 32 runs: first and last number acked out of order
//	4092   4    CRC of bytes 0..4091
package outbox
