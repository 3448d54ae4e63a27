//go:build linux

package cluster

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/leasestorm/leasestorm/internal/need"
)

// namespaces are two of the network, joined by a cable. Whatever is sent in them stays in them.
type namespaces struct{ a, b string }

const (
	addressA = "198.18.0.1" // of the block for benchmarks
	addressB = "198.18.0.2"
)

// ip runs a command of iproute2.
func ip(t *testing.T, name string, args ...string) error {
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}

// twoHosts makes the namespaces, or skips the test where the kernel or the rights do not allow it.
func twoHosts(t *testing.T) namespaces {
	t.Helper()
	h := namespaces{fmt.Sprintf("leasestorm-%d-a", os.Getpid()), fmt.Sprintf("leasestorm-%d-b", os.Getpid())}
	t.Cleanup(func() {
		for _, name := range []string{h.a, h.b} {
			_ = exec.Command("ip", "netns", "del", name).Run() //nolint:noctx // the test's context is done; it may never have been made
		}
	})
	for _, args := range []string{
		"netns add " + h.a, "netns add " + h.b,
		"link add cable netns " + h.a + " type veth peer name cable netns " + h.b,
		"-n " + h.a + " addr add " + addressA + "/30 dev cable", "-n " + h.b + " addr add " + addressB + "/30 dev cable",
		"-n " + h.a + " link set lo up", "-n " + h.b + " link set lo up", "-n " + h.a + " link set cable up", "-n " + h.b + " link set cable up",
	} {
		if err := ip(t, "ip", strings.Fields(args)...); err != nil {
			t.Skipf("no network namespaces here: %v", err)
		}
	}
	return h
}

// in is the command in a namespace.
func in(t *testing.T, namespace, dir string, args ...string) (*exec.Cmd, *safe) {
	t.Helper()
	cmd, _ := command(t.Context(), t, dir, args...)
	ip, err := exec.LookPath("ip")
	if err != nil {
		t.Fatal(err)
	}
	cmd.Args = append([]string{ip, "netns", "exec", namespace, cmd.Path}, args...)
	cmd.Path = ip
	said := &safe{}
	cmd.Stderr = said
	return cmd, said
}

// A worker behind a bad network changes nothing in the folder. The cable loses packets or is slow, and is out
// for three times as long as a worker may be silent.
func TestBadNetwork(t *testing.T) {
	t.Parallel()
	need.Tool(t, "ip", "iproute2")
	need.Tool(t, "tc", "iproute2")
	one := t.TempDir()
	args := strings.Fields("map surge --leases 5000 --broken 500 --x beta=1:4:6 --y rho=0.1:0.5:5 --seeds 2 --contestants fifo --all --out m")
	run(t, one, 0, args...)
	for name, shape := range map[string]string{
		"delay 50 ms, loss 2 %": "netem delay 50ms loss 2%",
		"1 Mbit/s":              "tbf rate 1mbit burst 2kb limit 4000", // for kernels without netem // drops what does not fit
	} {
		t.Run(name, func(t *testing.T) {
			h := twoHosts(t)
			for _, namespace := range []string{h.a, h.b} {
				if err := ip(t, "tc", strings.Fields("-n "+namespace+" qdisc add dev cable root "+shape)...); err != nil {
					t.Skipf("this kernel cannot shape the network like that: %v", err)
				}
			}
			cert, key := certificate(t, addressA)
			dir := t.TempDir()
			token := filepath.Join(dir, "token")
			if err := os.WriteFile(token, []byte("t"), 0o600); err != nil {
				t.Fatal(err)
			}
			study, said := in(t, h.a, dir, append(args, "--cluster", "embed", "--cluster-listen", addressA+":4222", "--cluster-cert", cert, "--cluster-key", key, "--cluster-token", token, "--give-back", "1s")...)
			worker, workerSaid := in(t, h.b, dir, "worker", "--cluster", "tls://"+addressA+":4222", "--cluster-ca", cert, "--cluster-token", token, "--processes", "2")
			for _, cmd := range []*exec.Cmd{worker, study} {
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
			}
			defer func() { _ = worker.Process.Kill(); _ = worker.Wait() }()
			ended := make(chan error, 1)
			go func() { ended <- study.Wait() }()
			for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
				points, _ := os.ReadFile(filepath.Join(dir, "m", "points.jsonl"))
				if bytes.Count(points, []byte("\n")) >= 3 {
					break
				}
				if time.Now().After(deadline) {
					_ = study.Process.Kill()
					t.Fatalf("no cell is done, %v: %s\n%s", <-ended, said, workerSaid)
				}
			}
			select {
			case err := <-ended:
				t.Fatalf("the study ended before the network did: %v: %s", err, said)
			default:
			}
			for _, state := range []string{"down", "up"} {
				if err := ip(t, "ip", "-n", h.a, "link", "set", "cable", state); err != nil {
					t.Fatal(err)
				}
				if state == "down" {
					time.Sleep(3 * time.Second)
				}
			}
			select {
			case err := <-ended:
				if err != nil {
					t.Fatalf("%v: %s\n%s", err, said, workerSaid)
				}
			case <-time.After(60 * time.Second):
				_ = study.Process.Kill()
				t.Fatalf("the study does not end, %v: %s\n%s", <-ended, said, workerSaid)
			}
			same(t, filepath.Join(dir, "m"), filepath.Join(one, "m"))
		})
	}
}
