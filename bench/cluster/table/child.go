package table

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/spf13/cobra"

	"github.com/leasestorm/leasestorm/lease"
)

// serveVerb is the hidden verb of a process that keeps a table.
const serveVerb = "table-server"

// order is what the process reads from its standard input, in a line. The input's end is the process's.
type order struct {
	Kind  string    `json:"kind"` // etcd or grpc
	Dir   string    `json:"dir"`  // etcd: its data
	Fsync bool      `json:"fsync"`
	Env   lease.Env `json:"env"` // grpc: the table's
}

// startTime bounds the start of a process, on a host that is busy.
const startTime = 60 * time.Second

// child is a process that keeps a table.
type child struct {
	address string // HOST:PORT, on loopback
	dir     string // removed at the end; "": none
	in      io.Closer
	cmd     *exec.Cmd
}

// start starts a process and waits until it listens.
func start(o order) (_ *child, err error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	line, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	c := &child{cmd: exec.Command(program, serveVerb)}
	c.cmd.Stderr = os.Stderr
	in, err := c.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	c.in = in
	late := time.AfterFunc(startTime, func() { _ = c.cmd.Process.Kill() })
	defer late.Stop()
	if _, err = in.Write(append(line, '\n')); err == nil {
		_, err = fmt.Fscanln(bufio.NewReader(out), &c.address)
	}
	if err != nil {
		return nil, fmt.Errorf("the process of table %s did not start within %v: %w", o.Kind, startTime, errors.Join(err, c.stop()))
	}
	return c, nil
}

// stop ends the process: by the end of its input and, if it does not heed that, at once.
func (c *child) stop() error {
	late := time.AfterFunc(5*time.Second, func() { _ = c.cmd.Process.Kill() })
	defer late.Stop()
	err := errors.Join(c.in.Close(), c.cmd.Wait())
	if c.dir != "" {
		err = errors.Join(err, os.RemoveAll(c.dir))
	}
	return err
}

// Command is the verb of the processes that keep tables. A program that runs tables of this package has it.
func Command() *cobra.Command {
	return &cobra.Command{
		Use: serveVerb, Short: "keep a lease table for another process", Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return serve(cmd.Context(), os.Stdin, os.Stdout) },
	}
}

// serve keeps the table that a line of in orders, until in ends. It writes its address to out.
func serve(ctx context.Context, in io.Reader, out io.Writer) error {
	r := bufio.NewReader(in)
	var o order
	line, err := r.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &o)
	}
	if err != nil {
		return fmt.Errorf("%s: %w: it is started by a run with --table etcd or --table grpc", serveVerb, err)
	}
	var address string
	var stop func()
	switch o.Kind {
	case etcdName:
		address, stop, err = startMember(o)
	case grpcName:
		address, stop, err = startServer(o)
	default:
		err = fmt.Errorf("%s: no table %q", serveVerb, o.Kind)
	}
	if err != nil {
		return err
	}
	defer func() {
		stop()
		if o.Dir != "" {
			_ = os.RemoveAll(o.Dir) // the parent removes it, too, if it lives
		}
	}()
	if _, err := fmt.Fprintln(out, address); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(io.Discard, r)
	}()
	select {
	case <-ended:
	case <-ctx.Done(): // Ctrl-C reaches the whole group: the parent still needs its table to wind up
		<-ended
	}
	return nil
}
