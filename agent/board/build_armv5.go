//go:build arm && !arm.6

package board

// Build is which of scripts/build.sh's builds this is.
const Build = "armv5"
