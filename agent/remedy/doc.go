// Package remedy brings a machine back by the ladder that fits the cause, and stops
// where a step would make it worse. It is pure: it is told what is judged and what
// time it is, and says which step is next; the shell carries it out.
//
// A fault climbs like this:
//
//	none --a class with a ladder--> climbing --last rung--> holding (the patient schedule)
//	climbing, holding --service is back--> none (remembered for an hour)
//	climbing, holding --another class--> that class's own climb
//
// Ladders, steps and budgets are data: ladders.toml beside this file, with the
// reason of each limit. Budgets count running time, not the clock on the wall, and
// are kept before a step begins: no restart, clock jump or crash loop refreshes one.
package remedy
