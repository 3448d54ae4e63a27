package fault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// Shell runs a shell command with arguments ($1 …) and further variables of the environment, in a process
// group of its own, which ends with ctx. The error has the last line that the command wrote.
func Shell(ctx context.Context, text string, environment []string, args ...string) error {
	cmd := exec.CommandContext(ctx, "sh", append([]string{"-c", text, "sh"}, args...)...)
	cmd.Env, cmd.WaitDelay = append(os.Environ(), environment...), time.Second
	ownGroup(cmd)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if err == nil || errors.Is(err, exec.ErrWaitDelay) { // it may have left a service running
		return nil
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	return fmt.Errorf("%w: %s", err, lines[len(lines)-1])
}
