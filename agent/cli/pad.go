package cli

// Pad fills s with spaces to n columns of a terminal, where a Chinese character takes
// two. Verbs of other packages line up their columns with it.
func Pad(s string, n int) string { return pad(s, n) }
