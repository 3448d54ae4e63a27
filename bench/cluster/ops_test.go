package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/catalog"
)

func logTo(w io.Writer, format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }

// What is printed of a URL has neither a password nor a token.
func TestShown(t *testing.T) {
	for url, want := range map[string]string{
		"nats://127.0.0.1:4222":                "nats://127.0.0.1:4222",
		"nats://u:p@host:4222":                 "nats://xxxxx@host:4222",
		"tls://token@host":                     "tls://xxxxx@host",
		"nats://u:p@ss@host":                   "nats://xxxxx@host",
		"nats://u:p,w@host":                    "nats://xxxxx@host",
		"tls://a:1, tls://u:p@b:2,tls://u:p@c": "tls://a:1, tls://xxxxx@b:2,tls://xxxxx@c",
		"tls://u:p@a,v:q@b":                    "tls://xxxxx@b",
		"u:p@host:4222":                        "xxxxx@host:4222",
		"embed":                                "embed",
		"results/20261127-map-surge":           "results/20261127-map-surge",
		"nats://user:" + strings.Repeat("x", 9) + "@[::1]": "nats://xxxxx@[::1]",
	} {
		if got := shown(url); got != want {
			t.Errorf("%s is shown as %s, want %s", url, got, want)
		}
	}
}

// The folder of a study may have an @ in its path. What is no folder may be a URL with a password.
func TestFolderWithAt(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "me@work")
	kept := filepath.Join(dir, stateFolder)
	if err := errors.Join(os.MkdirAll(kept, 0o700), writeLink(kept, link{URL: "nats://127.0.0.1:1", Token: "t"}, secrets{})); err != nil {
		t.Fatal(err)
	}
	var s secrets
	if l, err := s.linkOf(dir); err != nil || l.Token != "t" {
		t.Errorf("%v, %+v", err, l)
	}
	if _, err := s.linkOf("hush@work"); err == nil || strings.Contains(err.Error(), "hush") {
		t.Error(err)
	}
}

// No verb prints the password of its URL, whatever goes wrong with it.
func TestPasswordsAreNotPrinted(t *testing.T) {
	t.Parallel()
	s := serverOf(t, embedding{token: "t"})
	host := strings.TrimPrefix(s.URL, "nats://")
	dir := t.TempDir()
	sweep := strings.Fields("sweep surge --leases 2000 --broken 200 --x beta=1:4:2 --seeds 1 --out s --cluster")
	for _, args := range [][]string{
		append(sweep, "nats://u:hush@"+host), append(sweep, "nats://hush@"+host), append(sweep, "u:hush@"+host), append(sweep, "nats://u:hush@127.0.0.1:1"),
		append(sweep, "nats://u:hush@192.0.2.1:4222"), append(sweep, "nats://hush@192.0.2.1:4222"), append(sweep, "nats://u:hu%zzsh@"+host),
		{"status", "--cluster", "nats://u:hush@" + host}, {"status", "--cluster", "u:hush@" + host}, {"status", "--cluster", "nats://u:hush@127.0.0.1:1"},
		{"worker", "--cluster", "nats://u:hush@" + host}, {"worker", "--cluster", "nats://hush@" + host}, {"worker", "--cluster", "u:hush@" + host},
		{"agent", "--cluster", "nats://u:hush@" + host}, {"agent", "--cluster", "u:hush@" + host}, {"agent", "--cluster", "nats://u:hush@192.0.2.1:4222"},
		append(strings.Fields("storm http://127.0.0.1:1/lease surge --agents 1 --cluster"), "nats://u:hush@"+host),
	} {
		cmd, errs := command(t.Context(), t, dir, args...)
		_ = cmd.Run()
		if cmd.ProcessState.ExitCode() < 1 || strings.Contains(errs.String(), "hush") || strings.Contains(errs.String(), "hu%zzsh") {
			t.Errorf("%v: status %d: %s", args, cmd.ProcessState.ExitCode(), errs)
		}
	}
	for name, text := range tree(t, dir) {
		if strings.Contains(text, "hush") || strings.Contains(name, "hush") {
			t.Errorf("%s holds the password", name)
		}
	}
}

// A worker whose TLS fails says why and what to do, in one line for all its processes, and goes on trying.
func TestTLSTroubleIsSaid(t *testing.T) {
	t.Parallel()
	cert, key := certificate(t)
	other, _ := certificate(t)
	elsewhere, elsewhereKey := certificate(t, "coordinator.example.org")
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("t"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, named, plain := serverOf(t, embedding{cert: cert, key: key, token: "t"}), serverOf(t, embedding{cert: elsewhere, key: elsewhereKey, token: "t"}), serverOf(t, embedding{token: "t"})
	var all sync.WaitGroup
	for _, tt := range []struct {
		url, ca string
		want    []string
	}{
		{s.URL, "", []string{"unknown authority", "by --cluster-ca"}},
		{s.URL, other, []string{"unknown authority", "--cluster-ca holds another certificate"}},
		{named.URL, elsewhere, []string{"127.0.0.1", "by a name that its certificate has"}},
		{plain.URL, cert, []string{"secure connection not available", "the server speaks no TLS"}},
	} {
		all.Go(func() {
			args := []string{"worker", "--processes", "2", "--cluster", tt.url, "--cluster-token", token}
			if tt.ca != "" {
				args = append(args, "--cluster-ca", tt.ca)
			}
			cmd, _ := command(t.Context(), t, t.TempDir(), args...)
			var said safe
			cmd.Stderr = &said
			if err := cmd.Start(); err != nil {
				t.Error(err)
				return
			}
			for deadline := time.Now().Add(20 * time.Second); said.String() == "" && time.Now().Before(deadline); {
				time.Sleep(20 * time.Millisecond)
			}
			time.Sleep(2 * time.Second) // in which the other process meets it as well
			_ = cmd.Process.Signal(syscall.SIGTERM)
			_ = cmd.Wait()
			text := said.String()
			if strings.Count(text, "trying again") != 1 || !strings.Contains(text, tt.want[0]) || !strings.Contains(text, tt.want[1]) {
				t.Errorf("want one line with %q: %s", tt.want, text)
			}
		})
	}
	all.Wait()
}

// A storm whose local agents cannot be started ends, and says why. The program of this one is gone from the disk.
func TestStormWithoutItsAgentsEnds(t *testing.T) {
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		t.Skip("a program that is gone from the disk can be started by /proc alone")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "program")
	text, err := os.ReadFile(self)
	if err == nil {
		err = os.WriteFile(program, text, 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if err := os.Remove(program); err != nil {
		t.Fatal(err)
	}
	cmd, errs := command(t.Context(), t, t.TempDir(), strings.Fields("storm http://127.0.0.1:1/lease surge --local-agents 2 --agents-wait 1h")...)
	cmd.Path, cmd.ExtraFiles = "/proc/self/fd/3", []*os.File{f}
	_ = cmd.Run()
	if got := cmd.ProcessState.ExitCode(); got != 1 || !strings.Contains(errs.String(), "no local agents: agent ") || !strings.Contains(errs.String(), errNoStart.Error()) {
		t.Errorf("status %d: %s", got, errs)
	}
}

// Agents that are lost while a storm is on its way end it with the reason, which is no interrupt.
func TestCrewEndsWithItsReason(t *testing.T) {
	reason := errors.New("the reason")
	having, lost := context.WithCancelCause(t.Context())
	ctx, free := either(t.Context(), having)
	defer free()
	lost(reason)
	select {
	case <-ctx.Done():
	case <-time.After(10 * time.Second):
		t.Fatal("the storm goes on")
	}
	if err := because(having, ctx.Err()); !errors.Is(err, reason) || errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if err := because(t.Context(), context.Canceled); !errors.Is(err, context.Canceled) {
		t.Errorf("an interrupt became %v", err)
	}
}

// slowly counts the disciplines "slow" that were made, each of which takes slowlyTakes.
var slowly atomic.Int64

const slowlyTakes = 3 * time.Second

func init() {
	queue.Catalog.Register(catalog.Entry[queue.New]{
		Name: "slow", Doc: "for a test", Source: "a test",
		New: func(cfg queue.Config, _ catalog.Values) (queue.Discipline, error) {
			slowly.Inc()
			time.Sleep(slowlyTakes)
			return queue.Make("fifo", cfg)
		},
	})
}

// A worker that takes long for a cell, and shows signs of life, keeps it: no other runs it, though each shows
// signs of life for a third of that time alone.
func TestSlowWorkerKeepsItsCell(t *testing.T) {
	t.Parallel()
	s := serverOf(t, embedding{})
	c, end := begun(t, s.link, true) // gives back after a second
	defer end()
	for range 3 {
		working(t, s.link, time.Minute)
	}
	began := time.Now()
	res, err := c.Run(t.Context(), tiny(t, "queue=slow"), bench.Options{Seed: 1})
	if err != nil || res == nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < slowlyTakes {
		t.Errorf("the cell took %v, less than the discipline does", took)
	}
	if n := slowly.Load(); n != 1 {
		t.Errorf("the cell was begun %d times, want once", n)
	}
}

// limited is a folder on a file system of so many bytes.
func limited(t *testing.T, bytes int) string {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%d", bytes), "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("a small file system cannot be mounted here: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.CommandContext(context.Background(), "umount", "-l", dir).CombinedOutput(); err != nil {
			t.Errorf("umount %s: %v: %s", dir, err, out)
		}
	})
	return dir
}

// fill fills a file system but for so many bytes, and returns the file.
func fill(t *testing.T, dir string, but int64) string {
	t.Helper()
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "filler")
	if err := os.WriteFile(path, make([]byte, int64(fs.Bavail)*fs.Bsize-but), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A full disk of the coordinator ends the study with the folder's name. When there is space again --resume
// finishes it, and nothing is lost.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	args := strings.Fields("rank --engine virtual --leases 10000 --broken 2000 --workers 1 --seeds 3 --contestants fifo,deadline --out r")
	one := t.TempDir()
	run(t, one, 0, args...)
	for _, embedded := range []bool{false, true} { // false: the server's folder is on another disk
		t.Run(fmt.Sprintf("embedded=%v", embedded), func(t *testing.T) {
			t.Parallel()
			how := strings.Fields("--cluster embed --local-workers 2")
			if !embedded {
				s := serverOf(t, embedding{token: "t"})
				token := filepath.Join(t.TempDir(), "token")
				if err := os.WriteFile(token, []byte("t"), 0o600); err != nil {
					t.Fatal(err)
				}
				working(t, s.link, time.Minute)
				how = []string{"--cluster", s.URL, "--cluster-token", token}
			}
			dir := limited(t, 16<<20)
			filler := fill(t, dir, 300<<10)
			text := run(t, dir, 1, append(slices.Clone(args), how...)...)
			last := text[strings.LastIndex(text, "leasestorm: "):]
			if !strings.Contains(last, "r/.") || !strings.Contains(last, "no space left on device") || !strings.Contains(last, "--resume r") {
				t.Errorf("the error does not say what is full, and what to do: %s", text)
			}
			if err := os.Remove(filler); err != nil {
				t.Fatal(err)
			}
			run(t, dir, 0, append([]string{"rank", "--resume", "r"}, how...)...)
			same(t, filepath.Join(dir, "r"), filepath.Join(one, "r"), "suite.json", "compare.json", "compare.md")
		})
	}
}
