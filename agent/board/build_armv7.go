//go:build arm.7

package board

// Build is which of scripts/build.sh's builds this is.
const Build = "armv7"
