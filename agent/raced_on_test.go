//go:build race

package agent

func init() { raced = true }
