package cluster

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"
)

// again is how long a worker process that died is left alone before it is started again.
const again = time.Second

// rejectedStatus is the exit status of a worker or agent process whose credentials the server refuses. It
// would be refused again, so its parent does not start it again.
const rejectedStatus = 77

// asked is what a worker or an agent reads from its standard input, in a line. The input's end is its own.
type asked struct {
	Link    link          `json:"link"`
	Limit   time.Duration `json:"cell_limit_ns,omitempty"` // a worker's
	Turns   string        `json:"turns,omitempty"`         // a worker's, of turnsFolder
	MayLoad []string      `json:"may_load,omitempty"`      // an agent's
	tally   *tally        // counts what the processes do; nil: nobody asks
}

// errNoStart is returned, wrapped, if this host cannot start the program at all.
var errNoStart = errors.New("the process cannot be started")

// processes keeps n processes of a verb, worker or agent, running until ctx is done, the server refuses one, or
// one cannot be started in the first place. It returns when all have ended.
//
// Their temporary files are in the folder temp; "": where the host has them.
func processes(ctx context.Context, verb string, n int, temp string, a asked, say func(format string, args ...any)) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	line, err := json.Marshal(a)
	if err != nil {
		return err
	}
	line = append(line, '\n')
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var all sync.WaitGroup
	trouble := sayTrouble(say)
	for i := range n {
		all.Go(func() {
			for first := true; ctx.Err() == nil; first = false {
				a.tally.state(i, stateAway, false)
				err := process(ctx, program, verb, temp, line, func(n news) {
					a.tally.hear(i, n)
					trouble(n)
				})
				a.tally.state(i, "", ctx.Err() == nil)
				if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == rejectedStatus {
					stop(fmt.Errorf("%s %d of %d: %w", verb, i+1, n, errRejected))
					return
				}
				if first && errors.Is(err, errNoStart) { // later it may be for want of memory
					stop(fmt.Errorf("%s %d of %d: %w", verb, i+1, n, err))
					return
				}
				if ctx.Err() == nil {
					say("%s %d of %d ended, and is started again: %v", verb, i+1, n, err)
				}
				pause(ctx, again)
			}
		})
	}
	all.Wait()
	if err := context.Cause(ctx); errors.Is(err, errRejected) || errors.Is(err, errNoStart) {
		return err
	}
	return nil
}

// process is one process of a verb, from its start to its end. hear gets what it tells.
func process(ctx context.Context, program, verb, temp string, line []byte, hear func(news)) error {
	cmd := exec.CommandContext(ctx, program, verb, "--"+stdinFlag)
	in, out, err := os.Pipe()
	if err != nil {
		return err
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, &hearer{hear: hear}, os.Stderr
	if temp != "" {
		cmd.Env = append(os.Environ(), "TMPDIR="+temp)
	}
	// The end of its input asks it to stop: a worker gives its cell back, an agent ends its part.
	cmd.Cancel, cmd.WaitDelay = out.Close, 5*time.Second
	if err := cmd.Start(); err != nil {
		return errors.Join(fmt.Errorf("%w: %w", errNoStart, err), in.Close(), out.Close())
	}
	_ = in.Close() // the process has its own
	_, err = out.Write(line)
	err = errors.Join(err, cmd.Wait())
	_ = out.Close() // it may be closed
	return err
}

// fromParent reads what a process's parent asks. The context ends with the parent.
func fromParent(ctx context.Context, in io.Reader) (context.Context, asked, error) {
	r := bufio.NewReader(in)
	var a asked
	line, err := r.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &a)
	}
	if err != nil {
		return ctx, a, fmt.Errorf("--%s: %w: want a line from a coordinator", stdinFlag, err)
	}
	ctx, stop := context.WithCancel(ctx)
	go func() {
		_, _ = io.Copy(io.Discard, r)
		stop()
	}()
	return ctx, a, nil
}
