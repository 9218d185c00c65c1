package board

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// commandTimeout bounds a dialer's hook: it only has to tell the dialer.
const commandTimeout = 20 * time.Second

// RunCommand runs a board file's command, without a shell, and waits for it; what it
// prints is not kept.
func RunCommand(command string) error {
	words := strings.Fields(command)
	if len(words) == 0 {
		return nil
	}
	program := words[0]
	if !strings.Contains(program, "/") { // never by PATH, which may name a folder of anybody
		i := slices.IndexFunc(programDirs, func(dir string) bool {
			_, err := os.Stat(dir + "/" + program)
			return err == nil
		})
		if i < 0 {
			return fmt.Errorf("board: %s: not in %s: write its whole path", program, strings.Join(programDirs, ", "))
		}
		program = programDirs[i] + "/" + program
	}
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	if err := exec.CommandContext(ctx, program, words[1:]...).Run(); err != nil {
		return fmt.Errorf("board: %s: %w", words[0], err)
	}
	return nil
}
