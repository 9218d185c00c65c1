// Package fleet judges what no single machine can know: whether silent machines are silent
// by chance or for one cause, and what a silent machine is probably silent for.
//
// It is pure: what is seen goes in with its time, findings come out. Two parts:
//
//   - Watch holds silences against each other: a site without power, an empty pool, an
//     outage of a carrier in a district, our own broker. The unit is the site and not the
//     machine, since five machines behind one socket fall silent as one.
//   - Judge weighs a silent machine's last words and all else that is known of it, as the
//     agent does: decibans, a softmax, candidates, and the check that would decide.
//
// A will comes 1.5 keepalives after the last packet: with a keepalive of 20 minutes a
// silence shows 10 to 30 minutes after the fault, smeared over 20. Window is that smear.
package fleet
