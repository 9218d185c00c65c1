// Package platform asks SIM platforms what a device cannot know: whether the bill is
// paid, what stopped a card, how much of a pool is left.
//
// One platform is one mapping file (mappings/*.toml: its codes, units, paths, limits,
// time zone and how late its usage is) and one small client in Go (how it is logged in,
// signed and paged). Every answer becomes one Status. A code that no file knows stays
// unknown, and is counted with the code as label; it never becomes a state by guess.
//
// Nothing here writes: no call suspends, resumes or buys. Nothing here decides either:
// what a stopped card means for a machine is the agent's judgement.
//
// Identities and secrets: an Error holds the call's name, a kind and the platform's code,
// and no URL, since the classic address of China Telecom carries user, password and number.
package platform
