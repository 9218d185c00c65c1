// Package fleetsim plays a fleet: machines with the agent's real core over a simulated
// modem (real replies, real parsers), on a clock of its own, so that a month of hundreds of
// machines takes minutes. Sites, districts, carriers, pools, power cuts, outages, stopped
// cards with the platform's lag and flapping antennas are drawn from a seed.
//
// It is for demos, and for judging: what the backend names as the cause of a silence is
// held against the cause that was played. No device has any of it.
package fleetsim
