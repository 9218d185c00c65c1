// Package wayout is the one way out of this host: which interface a socket is bound to,
// its mark, whom names are asked of, and the one cache of their answers. Probes, the
// uplink, updates and the question for the time all leave by it, so that a probe that
// passes says something of the uplink.
//
// Nobody else in the agent binds a socket to an interface or marks it. What an answer
// means for the line is not known here (package probe, package diag).
package wayout
