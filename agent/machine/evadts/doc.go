// Package evadts reads an audit in EVA-DTS (the text that DEX and DDCMP carry)
// into what it says and how far it can be believed: Parse gives an Audit and its
// Findings. Nothing is thrown away because a sum does not fit: makers deviate
// everywhere, so reconciliation is a measure of quality and never a verdict.
//
// It is pure: bytes in, values out. It does not compare two audits (package
// audit does), reads no port and keeps nothing. Elements are counted from 1, as
// in the standard: CA302 is the second element of CA3 (EVA-DTS 6.2 appendix A).
// Money is in minor units of the currency, as it stands in the audit.
package evadts
