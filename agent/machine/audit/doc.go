// Package audit compares an audit with the one before and says what was sold in
// between: counts and amounts for a window, never single sales, for an audit is
// counters. It is pure: audits in, Reports out, a Book to keep.
//
// It errs on one side only. What it reports as sold was sold: where a counter may
// have been cleared, a board exchanged or a number garbled, it starts anew from the
// new audit and says why, and what was sold around the break stays unknown.
// Only counters since initialisation are compared; those since the last reset fall
// whenever somebody reads.
//
// A counter lives through these states:
//
//	unknown --read--> baseline --read, grown--> counted (a window)
//	counted --read, back to a small number near a known end--> counted (rollover, said as a note)
//	counted --read, fallen otherwise--> baseline (anew, nothing counted)
package audit
