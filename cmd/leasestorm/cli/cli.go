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
	"syscall"

	"github.com/spf13/cobra"
)

// Exit statuses. A verdict is no error: a run that collapsed as it should ends in 0.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitInvalid     = 4
	exitInterrupted = 130
)

// exitError carries a status other than exitFailed to main.
type exitError struct {
	status int
	err    error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

func usage(err error) error { return &exitError{exitUsage, err} }

// Main runs the command and returns its exit status.
func Main(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := newRoot()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	if errors.Is(err, context.Canceled) {
		_, hint, _ := strings.Cut(err.Error(), "\n")
		fmt.Fprintln(os.Stderr, "leasestorm: interrupted; what was finished is whole\n"+hint)
		return exitInterrupted
	}
	fmt.Fprintln(os.Stderr, "leasestorm:", err)
	if e, ok := errors.AsType[*exitError](err); ok {
		return e.status
	}
	return exitFailed
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "leasestorm",
		Short: "make the surge of a returning dependency happen, and measure what keeps a lease manager alive",
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
	root.AddCommand(benchCommand(), borderCommand(), doctorCommand(), drillCommand(), findCommand(), listCommand(), mapCommand(), plotCommand(), runCommand(), simCommand(), sweepCommand(), validateCommand(), versionCommand())
	decimals(root)
	return root
}

// noArgs is cobra.NoArgs with this command's exit status.
func noArgs(cmd *cobra.Command, args []string) error {
	if err := cobra.NoArgs(cmd, args); err != nil {
		return usage(err)
	}
	return nil
}
