//go:build !arm

package board

import "runtime"

// Build is which of scripts/build.sh's builds this is.
const Build = runtime.GOARCH
