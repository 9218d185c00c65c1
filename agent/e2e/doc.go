// Package e2e proves the whole agent from outside: the built binary, a real
// mosquitto, a modem on a real pseudo terminal and the kernel's counters of a
// veth pair between two network namespaces. It has tests only, and holds no
// code that the agent uses.
//
// The network tests need root, iproute2, nftables and mosquitto; without, they
// skip and say what to install. All others run anywhere.
package e2e
