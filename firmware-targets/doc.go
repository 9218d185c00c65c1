// Package targets describes the boards that the agent runs on: one TOML file each,
// with the CPU and its floating point unit, the builds that run on it, init system,
// paths, flash, data interfaces, modem, GPIO lines, LED, dialer, memory, name servers
// and certificates, and how the board is recognised.
//
// A file holds facts, with their source in its comments. What the board alone does
// not decide (which modem is plugged in, how it is wired) is listed in `template`:
// such a section is an example for the integrator to fill in and is never used as it
// stands (see Known). README.md is the way to a new board.
//
// The package is pure: it reads text that it is given, or its own files; package
// board looks at the machine, package config lays what is known here under the
// config.
package targets
