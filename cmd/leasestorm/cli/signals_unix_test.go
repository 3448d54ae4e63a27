//go:build unix

package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/spf13/cobra"

	"github.com/leasestorm/leasestorm/bench"
)

// many are runs that go on for longer than any test.
var many = append([]string{"sim", "surge", "--out", "none", "--seeds", "10000"}, small...)

// begin starts a command and waits for that many lines of its progress.
func begin(t *testing.T, cmd *exec.Cmd, lines int) (stdout *bytes.Buffer, progress *bufio.Scanner) {
	t.Helper()
	stdout = new(bytes.Buffer)
	cmd.Stdout = stdout
	r, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	progress = bufio.NewScanner(r)
	wait(t, progress, lines)
	return stdout, progress
}

func wait(t *testing.T, progress *bufio.Scanner, lines int) {
	t.Helper()
	for range lines {
		if !progress.Scan() {
			t.Fatal("it has ended")
		}
	}
}

// INT, TERM and HUP end with what is finished.
func TestSignals(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		if signal.Ignored(s) {
			continue // as under nohup, and so it is for the command: TestHangupIgnored
		}
		cmd := command(many...)
		stdout, progress := begin(t, cmd, 5)
		if err := cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
		said := ""
		for progress.Scan() {
			said = progress.Text() + "\n" + said
			said = said[:min(len(said), 1000)] // the last lines
		}
		_ = cmd.Wait() // its status is looked at
		if got := cmd.ProcessState.ExitCode(); got != exitInterrupted || !strings.Contains(said, "what was finished is whole") || !strings.Contains(stdout.String(), "collapse probability") {
			t.Errorf("%v: status %d, %q, and on stdout %q", s, got, said, stdout)
		}
	}
}

// What nohup has had ignored stays so.
func TestHangupIgnored(t *testing.T) {
	cmd := command(many...)
	cmd.Path, cmd.Args = "/bin/sh", append([]string{"sh", "-c", `trap "" HUP; exec "$0" "$@"`}, cmd.Args...)
	_, progress := begin(t, cmd, 5)
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	wait(t, progress, 300)
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for progress.Scan() {
	}
	_ = cmd.Wait() // its status is looked at
	if got := cmd.ProcessState.ExitCode(); got != exitInterrupted {
		t.Errorf("status %d", got)
	}
}

// A verb that does not look at its context is ended all the same, and says how to go on.
func TestDeafVerb(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	deaf := make(chan bool)
	defer close(deaf)
	root := &cobra.Command{SilenceErrors: true, RunE: func(*cobra.Command, []string) error {
		hint.Store("to go on: so")
		<-deaf
		return nil
	}}
	root.SetArgs(nil)
	err := execute(ctx, root)
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "to go on: so") {
		t.Errorf("%v", err)
	}
}

// A pipe that nobody reads ends quietly; the files are whole, and progress that nobody reads
// stops no run.
func TestClosedPipe(t *testing.T) {
	for _, args := range append(verbs(t), append([]string{"sim", "surge", "--out", filepath.Join(t.TempDir(), "run")}, small...)) {
		r, w, err := os.Pipe()
		if err == nil {
			err = r.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		cmd := command(args...)
		var stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = w, &stderr
		_ = cmd.Run() // its status is looked at
		if got := cmd.ProcessState.ExitCode(); got != exitPipe || strings.Contains(stderr.String(), "leasestorm:") {
			t.Errorf("%v: status %d, %s", args, got, &stderr)
		}
		if len(args) > 3 && args[2] == "--out" && args[3] != "none" {
			if _, err := bench.ReadManifest(t.Context(), args[3]); err != nil {
				t.Error(err)
			}
			cmd = command(append([]string{"sim", "surge", "--out", args[3] + "-2"}, small...)...)
			cmd.Stdout, cmd.Stderr = io.Discard, w
			if err := cmd.Run(); err != nil {
				t.Errorf("nobody reads stderr: %v", err)
			}
		}
		_ = w.Close()
	}
}
