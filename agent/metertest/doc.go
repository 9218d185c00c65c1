// Package metertest proves the meter through the whole agent: the built binary
// in a network namespace, real traffic over its interface, kills and interfaces
// that vanish. It has tests only, and holds no code that the agent uses.
//
// Each test logs its figure; all of them:
//
//	go test -v -run . ./agent/metertest | grep FIGURE
//
// They need root and iproute2; without, they skip and say so.
package metertest
