// Package board touches the machine that the agent runs on: it reads the clocks
// and says how far the wall clock is to be believed, reads the kernel's counters
// of the data interfaces, finds the interface that belongs to a modem, and keeps
// small state files so that a power cut leaves the old or the new one.
//
// It decides nothing about the line: package meter counts, package core judges.
package board
