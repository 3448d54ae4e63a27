// Package cli is the command line of leasestorm. A program of another module that has
// registered its own disciplines, controllers or tables gets the full command with them
// by os.Exit(cli.Main(os.Args[1:])).
package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/leasestorm/leasestorm/bench/scenario"
	"go.uber.org/atomic"
)

// Exit statuses. A verdict is no error: a run that collapsed as it should ends in 0.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitInvalid     = 4
	exitInterrupted = 130
	exitPipe        = 141 // whoever read the output has gone; as of a process that SIGPIPE ends
)

// exitError carries a status other than exitFailed to main.
type exitError struct {
	status int
	err    error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

func usage(err error) error { return &exitError{exitUsage, err} }

// grace is how long an interrupted command has to wind up and to print what is finished.
// After it the process ends all the same, wherever it is: files are written so that it may.
const grace = 700 * time.Millisecond

// hint is how to go on with what is interrupted.
var hint atomic.String

// Main runs the command and returns its exit status. Of more, the first is where studies may make their runs.
func Main(args []string, more ...Elsewhere) int {
	writeToClosed()
	ctx, stop := signal.NotifyContext(context.Background(), endings()...)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	out := &output{w: os.Stdout}
	hint.Store("")
	root := newRoot(more...)
	if len(more) > 0 {
		ctx = context.WithValue(ctx, elsewhereKey{}, more[0])
	}
	root.SetArgs(args)
	root.SetOut(out)
	shells(root) // after SetOut: cobra's completion commands keep the output that they are made with
	return finish(execute(ctx, root), out)
}

// execute runs the command, until it ends or grace is over.
func execute(ctx context.Context, root *cobra.Command) error {
	done := make(chan error, 1)
	go func() { done <- root.ExecuteContext(ctx) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-done:
		return err
	case <-time.After(grace):
		return resumable(ctx.Err())
	}
}

// resumable is err with the hint.
func resumable(err error) error {
	if h := hint.Load(); h != "" && !errors.Is(err, scenario.ErrScenario) {
		return fmt.Errorf("%w\n%s", err, h)
	}
	return err
}

// finish says what has gone wrong, and returns the exit status.
func finish(err error, out *output) int {
	if errors.Is(err, context.Canceled) {
		_, hint, _ := strings.Cut(err.Error(), "\n")
		fmt.Fprintln(os.Stderr, "leasestorm: interrupted; what was finished is whole\n"+hint)
		return exitInterrupted
	}
	unread := out.err != nil && !out.closed()
	if err != nil && out.err != nil && err.Error() == out.err.Error() {
		err = nil // the verb has looked, and has nothing else to say
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "leasestorm:", err)
		if e, ok := errors.AsType[*exitError](err); ok && !unread {
			return e.status
		}
	}
	switch {
	case unread:
		fmt.Fprintln(os.Stderr, "leasestorm: the output is not whole:", out.err)
		return exitFailed
	case err != nil:
		return exitFailed
	case out.closed():
		return exitPipe
	}
	return exitOK
}

func newRoot(more ...Elsewhere) *cobra.Command {
	root := &cobra.Command{
		Use:   "leasestorm",
		Short: "run the surge after an outage, and measure which queue and admission control survive it",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage(fmt.Errorf("unknown command %q; 'leasestorm help' lists them", args[0]))
			}
			return nil
		},
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage(fmt.Errorf("%w\ntry '%s --help'", err, cmd.CommandPath()))
	})
	root.AddCommand(
		benchCommand(),
		borderCommand(),
		compareCommand(),
		describeCommand(),
		doctorCommand(),
		drillCommand(),
		experimentCommand(),
		fairnessCommand(),
		findCommand(),
		gateCommand(),
		histCommand(),
		incidentCommand(),
		initCommand(),
		listCommand(),
		mapCommand(),
		playCommand(),
		probeCommand(),
		plotCommand(),
		rankCommand(),
		remedyCommand(),
		reportCommand(),
		runCommand(),
		simCommand(),
		stormCommand(),
		sweepCommand(),
		thresholdCommand(),
		validateCommand(),
		versionCommand(),
	)
	for _, e := range more {
		extend(root, e)
	}
	decimals(root)
	completions(root)
	return root
}

// shells adds the verb that writes completions. Cobra's own answers a shell that it does not know with its
// help, which the caller's shell would run.
func shells(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	cmd, _, err := root.Find([]string{"completion"})
	if err != nil {
		panic(err)
	}
	cmd.Args, cmd.RunE = noArgs, func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	for _, shell := range cmd.Commands() {
		shell.Args = noArgs
	}
}

// noArgs is cobra.NoArgs with this command's exit status.
func noArgs(cmd *cobra.Command, args []string) error {
	if err := cobra.NoArgs(cmd, args); err != nil {
		return usage(err)
	}
	return nil
}
