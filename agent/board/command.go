package board

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// commandTimeout bounds a dialer's hook: it only has to tell the dialer.
const commandTimeout = 20 * time.Second

// RunCommand runs a board file's command, without a shell, and waits for it; what it
// prints is not kept. os/exec would cost 130 KB of the binary.
func RunCommand(command string) error {
	words := strings.Fields(command)
	if len(words) == 0 {
		return nil
	}
	program := words[0]
	for _, dir := range programDirs {
		if _, err := os.Stat(dir + "/" + program); err == nil && !strings.Contains(program, "/") {
			program = dir + "/" + program
		}
	}
	child, err := os.StartProcess(program, words, &os.ProcAttr{Files: []*os.File{nil, nil, nil}, Env: os.Environ()})
	if err != nil {
		return fmt.Errorf("board: %s: %w", words[0], err)
	}
	late := time.AfterFunc(commandTimeout, func() { _ = child.Kill() })
	defer late.Stop()
	state, err := child.Wait()
	switch {
	case err != nil:
		return fmt.Errorf("board: %s: %w", words[0], err)
	case !state.Success():
		return fmt.Errorf("board: %s: %s", words[0], state)
	}
	return nil
}
