package cluster

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	randv2 "math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/scenario"
	"github.com/leasestorm/leasestorm/bench/study"
	"github.com/leasestorm/leasestorm/cmd/leasestorm/cli"
	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/catalog"
)

const (
	asCommand = "LEASESTORM_TEST_COMMAND" // makes this binary the command
	healed    = "LEASESTORM_TEST_HEALED"  // takes the poison out
)

// The test binary is the command as well, with two disciplines that a worker does not survive.
func TestMain(m *testing.M) {
	bad := func(name string, act func()) {
		queue.Catalog.Register(catalog.Entry[queue.New]{
			Name: name, Doc: "for a test", Source: "a test",
			New: func(cfg queue.Config, _ catalog.Values) (queue.Discipline, error) {
				if os.Getenv(healed) == "" && slices.Contains(os.Args, "worker") {
					act()
				}
				return queue.Make("fifo", cfg)
			},
		})
	}
	bad("poison", func() { os.Exit(3) })
	stuck := make(chan struct{})
	queue.Catalog.Register(catalog.Entry[queue.New]{
		Name: "stuck", Doc: "for a test", Source: "a test",
		New: func(cfg queue.Config, _ catalog.Values) (queue.Discipline, error) {
			<-stuck
			return queue.Make("fifo", cfg)
		},
	})
	if os.Getenv(asCommand) != "" {
		os.Exit(cli.Main(os.Args[1:], New()))
	}
	if err := os.Setenv(asCommand, "1"); err != nil { // of the processes that a test starts
		panic(err)
	}
	os.Exit(m.Run())
}

// command is the command with these arguments, in a folder.
func command(ctx context.Context, t *testing.T, dir string, args ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Env, cmd.WaitDelay = dir, append(os.Environ(), asCommand+"=1"), 10*time.Second
	var errs bytes.Buffer
	cmd.Stderr = &errs
	return cmd, &errs
}

// run runs the command, which must end with that status.
func run(t *testing.T, dir string, status int, args ...string) (stderr string) {
	t.Helper()
	cmd, errs := command(t.Context(), t, dir, args...)
	_ = cmd.Run()
	if got := cmd.ProcessState.ExitCode(); got != status {
		t.Fatalf("%v: status %d, want %d\n%s", args, got, status, errs)
	}
	return errs.String()
}

// tree are the files of a folder.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	if err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		all[name] = string(text)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

// same holds a folder to that of one machine. but are files that differ between any two runs.
func same(t *testing.T, got, want string, but ...string) {
	t.Helper()
	a, b := tree(t, got), tree(t, want)
	for name := range b {
		if _, have := a[name]; !have {
			t.Errorf("%s is missing", name)
		} else if a[name] != b[name] && !slices.Contains(but, name) {
			t.Errorf("%s differs", name)
		}
	}
	for name := range a {
		if _, have := b[name]; !have {
			t.Errorf("%s is too many", name)
		}
	}
}

// status reads the status of a study in dir.
func status(t *testing.T, dir string) (st Status, err error) {
	var s secrets
	l, err := s.linkOf(dir)
	if err != nil {
		return st, err
	}
	return readStatus(t.Context(), l)
}

// ours reports whether a process is a worker of this test's.
func ours(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err == nil && strings.HasPrefix(string(text), os.Args[0]+"\x00worker\x00")
}

// Workers that are killed and stopped at random, and a coordinator that is killed and started again, change
// nothing in the folder.
func TestSameFolderWhateverDies(t *testing.T) {
	t.Parallel()
	one, many := t.TempDir(), t.TempDir()
	args := strings.Fields("map surge --leases 20000 --broken 2000 --x beta=1:4:9 --y rho=0.1:0.5:6 --seeds 3 --contestants fifo,lifo --all --out m")
	run(t, one, 0, args...)
	elsewhere := strings.Fields("--cluster embed --local-workers 4 --give-back 1s")
	folder := filepath.Join(many, "m")
	rng := randv2.New(randv2.NewPCG(1, 2))
	killed, last := 0, 0
	for turn := range 2 {
		first := append(slices.Clone(args), elsewhere...)
		if turn > 0 {
			first = append([]string{"map", "--resume", "m"}, elsewhere...)
		}
		cmd, errs := command(t.Context(), t, many, first...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() { defer close(ended); _ = cmd.Wait() }()
		for alive := true; alive; {
			select {
			case <-ended:
				alive = false
				continue
			case <-time.After(250 * time.Millisecond):
			}
			st, err := status(t, folder)
			if err != nil || st.Study == nil || len(st.Workers) == 0 {
				continue
			}
			last = st.Study.Done
			if pid := st.Workers[rng.IntN(len(st.Workers))].PID; killed < 6 && ours(pid) {
				signal := syscall.SIGKILL
				if killed == 3 {
					signal = syscall.SIGSTOP // hangs
				}
				if syscall.Kill(pid, signal) == nil {
					killed++
				}
			}
			if turn == 0 && killed >= 3 && last > 40 {
				_ = cmd.Process.Kill()
			}
		}
		t.Logf("turn %d: status %d after %d cells, %d workers killed or stopped", turn, cmd.ProcessState.ExitCode(), last, killed)
		if turn == 1 && cmd.ProcessState.ExitCode() != 0 {
			t.Fatal(errs)
		}
	}
	if killed < 4 {
		t.Errorf("only %d workers were killed: the map is too short to show anything", killed)
	}
	same(t, folder, filepath.Join(one, "m"))
}

// A ranking has the same folders and figures. The time when it began and the costs of parts, which are
// measured, differ between any two.
func TestRankIsTheSame(t *testing.T) {
	one, many := t.TempDir(), t.TempDir()
	args := strings.Fields("rank --engine virtual --leases 10000 --broken 2000 --workers 1 --seeds 2 --contestants fifo,deadline,slack/none/backoff --out r")
	run(t, one, 0, args...)
	run(t, many, 0, append(args, "--cluster", "embed", "--local-workers", "2")...)
	same(t, filepath.Join(many, "r"), filepath.Join(one, "r"), "suite.json", "compare.json", "compare.md")
}

// A cell that kills its workers is set aside and named, the others are run, and --resume tries it again.
func TestPoisonedCellIsSetAside(t *testing.T) {
	one, many := t.TempDir(), t.TempDir()
	args := strings.Fields("sweep surge --leases 2000 --broken 400 --x beta=1:4:2 --seeds 1 --contestants fifo,poison --out s")
	run(t, one, 0, args...)
	text := run(t, many, 1, append(args, "--cluster", "embed", "--local-workers", "2", "--give-back", "1s")...)
	if strings.Count(text, "set aside: cell ") != 2 || strings.Count(text, "surge poison/") != 2 {
		t.Errorf("two cells are to be named:\n%s", text)
	}
	runs, err := os.ReadFile(filepath.Join(many, "s", study.RunsFile))
	if err != nil || bytes.Count(runs, []byte("\n")) != 2 {
		t.Errorf("want the two runs that did not kill anybody, %v: %s", err, runs)
	}
	aside, err := os.ReadFile(filepath.Join(many, "s", stateFolder, asideFile))
	if err != nil || bytes.Count(aside, []byte("\n")) != 2 {
		t.Errorf("want the keys of the two cells, %v: %s", err, aside)
	}
	t.Setenv(healed, "1")
	run(t, many, 0, "sweep", "--resume", "s", "--cluster", "embed", "--local-workers", "2")
	same(t, filepath.Join(many, "s"), filepath.Join(one, "s"))
}

// serverOf starts a server for a test.
func serverOf(t *testing.T, e embedding) *embedded {
	t.Helper()
	if e.listen == "" {
		e.listen = "127.0.0.1:0"
	}
	s, err := e.start(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.stop)
	return s
}

func begin(t *testing.T, l link, id string) (*coordinator, error) {
	t.Helper()
	return open(t.Context(), l, false, &state{id: id}, "folder-"+id, bench.Virtual{}, time.Second, false)
}

// begun is the coordinator of a study "a", and its end. whole says that the study is whole by then.
func begun(t *testing.T, l link, whole bool) (c *coordinator, end func()) {
	t.Helper()
	c, err := begin(t, l, "a")
	if err != nil {
		t.Fatal(err)
	}
	return c, func() { _ = c.close(whole) }
}

// A second coordinator is refused, and takes the place of one that has ended or has died.
func TestTwoCoordinators(t *testing.T) {
	t.Parallel()
	s := serverOf(t, embedding{})
	first, err := begin(t, s.link, "a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := begin(t, s.link, "b"); !errors.Is(err, errSecond) || !strings.Contains(err.Error(), "folder-a") {
		t.Fatalf("two coordinators at once: %v", err)
	}
	if err := first.close(false); err != nil {
		t.Error(err)
	}
	nc, js, err := s.connect("test", false)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	dead, err := take(t.Context(), js, false, holder{Dir: "dead", Once: "x"}) // is never renewed
	if err != nil {
		t.Fatal(err)
	}
	next, err := open(t.Context(), s.link, false, &state{id: "c"}, "folder-c", bench.Virtual{}, time.Second, true)
	if err != nil {
		t.Fatalf("the lock of a coordinator that died stays: %v", err)
	}
	if err := dead.keep(t.Context()); !errors.Is(err, errSecond) {
		t.Errorf("a coordinator that lost its lock goes on: %v", err)
	}
	if err := next.close(true); err != nil {
		t.Error(err)
	}
}

// tiny is a scenario that runs in some milliseconds.
func tiny(t *testing.T, set ...string) scenario.Scenario {
	t.Helper()
	s, err := scenario.Load("surge")
	if err == nil {
		err = s.Set(append([]string{"leases=200", "broken=20", "duration=2s", "workers=1"}, set...)...)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// working is a worker in this process, until the test ends.
func working(t *testing.T, l link, limit time.Duration) (ended <-chan error) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	errs := make(chan error, 1)
	turns := t.TempDir()
	var all sync.WaitGroup
	all.Go(func() { errs <- work(ctx, l, limit, turns, t.Logf, func(news) {}) })
	t.Cleanup(func() { stop(); all.Wait() })
	return errs
}

// A worker runs what the scenario's schema allows, and nothing else, whoever asks.
func TestWorkerRefuses(t *testing.T) {
	s := serverOf(t, embedding{})
	c, end := begun(t, s.link, true)
	defer end()
	working(t, s.link, time.Minute)
	mark := filepath.Join(t.TempDir(), "mark")
	scene := tiny(t)
	sound := scene.TOML()
	measured, etcd := tiny(t, "service_law=measured:/etc"), tiny(t, "table=etcd")
	for i, tt := range []struct {
		cell cell
		says string
	}{
		{cell{Engine: "virtual", Seed: 1, Scenario: sound, Runbook: &scenario.Runbook{Name: "x", Steps: []scenario.Step{{At: "1s", Do: "exec", To: "touch " + mark}}}}, "step 1 of the runbook runs a command"},
		{cell{Engine: "virtual", Seed: 1, Scenario: measured.TOML()}, "service_law"},
		{cell{Engine: "real", Seed: 1, Scenario: etcd.TOML()}, "another process's"},
		{cell{Engine: "real", Seed: 1, Scenario: sound, Wait: 1e18}, "for a quiet host"},
		{cell{Engine: "target", Seed: 1, Scenario: sound}, `engine "target"`},
		{cell{Engine: "virtual", Seed: 1, Scenario: "shell = \"true\"\n"}, "shell"},
		{cell{Task: "shell", Input: []byte(`{}`)}, `no such task: "shell"`},
		{cell{Task: "model", Input: []byte(`{"arrivals":"x"}`)}, "the input of model"},
		{cell{Task: "incident-managers", Input: []byte(`{"scenario_toml":"service_law = \"measured:/etc\"\n"}`)}, "service_law"},
		{cell{Task: "published", Input: []byte(`{"scenario":"../../etc/passwd"}`)}, "no published result"},
	} {
		key, text := tt.cell.key()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		err := c.wait(ctx, key, text, i)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		packed, err := c.store.outcomes.GetBytes(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		out, err := unpack(packed, "")
		if err != nil || !errors.Is(out.err(), errCell) && !errors.Is(out.err(), study.ErrTask) && !errors.Is(out.err(), scenario.ErrScenario) || !strings.Contains(out.Error, tt.says) || out.Result != nil {
			t.Errorf("%s: %v, %+v", tt.says, err, out)
		}
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("a worker ran a command")
	}
	if _, err := c.Run(t.Context(), tiny(t, "service_law=measured:/etc"), bench.Options{Seed: 1}); !errors.Is(err, errCell) {
		t.Errorf("the coordinator asks for what workers refuse: %v", err)
	}
}

// An error of a run is that of one machine: the text and what it wraps.
func TestErrorsTravel(t *testing.T) {
	s := serverOf(t, embedding{})
	c, end := begun(t, s.link, true)
	defer end()
	working(t, s.link, time.Minute)
	bad := tiny(t)
	bad.Broken = 0
	bad.Outage = bad.Timeout * 1e9
	_, want := bench.Virtual{}.Run(t.Context(), bad, bench.Options{Seed: 1})
	_, got := c.Run(t.Context(), bad, bench.Options{Seed: 1})
	if want == nil || got == nil || !errors.Is(got, scenario.ErrScenario) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// The server may go and come back while cells are in hand.
func TestServerRestarts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := embedding{listen: free.Addr().String(), token: "t"}
	_ = free.Close()
	s, err := e.start(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { s.stop() }()
	c, end := begun(t, s.link, true)
	defer end()
	working(t, s.link, time.Minute)
	for i := range 30 {
		if i == 10 {
			s.stop()
			if s, err = e.start(dir); err != nil {
				t.Fatal(err)
			}
		}
		seed := uint64(i + 1)
		want, err := bench.Virtual{}.Run(t.Context(), tiny(t), bench.Options{Seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute) // a lost watch and a lost cell come back after half a minute
		got, err := c.Run(ctx, tiny(t), bench.Options{Seed: seed})
		cancel()
		if err != nil {
			t.Fatalf("cell %d: %v", i, err)
		}
		got.Elapsed, want.Elapsed = 0, 0
		a, _ := json.Marshal(got)
		b, _ := json.Marshal(want)
		if !bytes.Equal(a, b) {
			t.Fatalf("cell %d differs:\n%s\n%s", i, a, b)
		}
	}
}

// A cell that does not end ends its worker, so that it does not hold the cell for ever.
func TestCellThatDoesNotEnd(t *testing.T) {
	t.Parallel()
	s := serverOf(t, embedding{})
	c, end := begun(t, s.link, true)
	defer end()
	ended := working(t, s.link, time.Second)
	ctx, cancel := context.WithCancel(t.Context())
	var asking sync.WaitGroup
	asking.Go(func() { _, _ = c.Run(ctx, tiny(t, "queue=stuck"), bench.Options{Seed: 1}) })
	select {
	case err := <-ended:
		if !errors.Is(err, errLimit) {
			t.Errorf("the worker ended by %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Error("the worker holds the cell for ever")
	}
	cancel()
	asking.Wait()
}

// certificate makes a certificate of localhost, or of these hosts: its file and its key's.
func certificate(t *testing.T, hosts ...string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	if hosts == nil {
		hosts = []string{"localhost", "127.0.0.1"}
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := tls.LoadX509KeyPair(cert, key); err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// Nobody gets in without credentials, and a worker that is refused says so and ends.
func TestCredentials(t *testing.T) {
	t.Parallel()
	cert, key := certificate(t)
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := pair.Seed()
	if err != nil {
		t.Fatal(err)
	}
	for name, e := range map[string]embedding{
		"drawn token": {},
		"token, TLS":  {token: "secret", cert: cert, key: key},
		"NKey, TLS":   {seed: string(seed), cert: cert, key: key},
	} {
		s := serverOf(t, e)
		nc, _, err := s.connect("test", false)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		nc.Close()
		for _, bad := range []link{{URL: s.URL, CA: s.CA}, {URL: s.URL, Token: "wrong", CA: s.CA}, {URL: s.URL, Token: s.Token, Seed: s.Seed}} {
			if bad == s.link {
				continue // without TLS there is nothing to vouch for
			}
			if nc, _, err := bad.connect("test", false); err == nil {
				nc.Close()
				t.Errorf("%s: %+v is let in", name, bad)
			}
		}
		select {
		case err := <-working(t, link{URL: s.URL, Token: "wrong", CA: s.CA}, time.Minute):
			if err == nil || !strings.Contains(strings.ToLower(err.Error()), "authorization") {
				t.Errorf("%s: a worker that is refused ends with %v", name, err)
			}
		case <-time.After(20 * time.Second):
			t.Errorf("%s: a worker that is refused tries for ever", name)
		}
	}
}

// Beyond loopback the server needs TLS and credentials.
func TestListen(t *testing.T) {
	for _, tt := range []struct {
		e    embedding
		want string // in the error; "": none
	}{
		{embedding{listen: "127.0.0.1:0"}, ""},
		{embedding{listen: "[::1]:4222"}, ""},
		{embedding{listen: ":4222"}, ""}, // loopback, as everywhere
		{embedding{listen: "localhost:4222"}, ""},
		{embedding{listen: "0.0.0.0:4222"}, "it needs TLS"},
		{embedding{listen: "0.0.0.0:4222", token: "t"}, "it needs TLS"},
		{embedding{listen: "192.0.2.1:4222", cert: "c", key: "k"}, "credentials"},
		{embedding{listen: "192.0.2.1:4222", cert: "c", key: "k", seed: "s"}, ""},
		{embedding{listen: "127.0.0.1:0", cert: "c"}, "go together"},
		{embedding{listen: "4222"}, "want HOST:PORT"},
	} {
		_, _, err := tt.e.address()
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: %v, want %q", tt.e, err, tt.want)
		}
	}
}

// What a user gets wrong is refused before anything starts.
func TestRefusedFlags(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range [][2]string{
		{"--local-workers 2", "--local-workers goes with --cluster"},
		{"--local-workers 0", "--local-workers goes with --cluster"},
		{"--give-back 20s", "--give-back goes with --cluster"},
		{"--cell-limit 20s", "--cell-limit goes with --cluster and --local-workers"},
		{"--cluster embed --cell-limit 20s", "--cell-limit goes with --cluster and --local-workers"},
		{"--cluster-listen 127.0.0.1:0", "--cluster-listen goes with --cluster embed"},
		{"--cluster-token t", "--cluster-token goes with --cluster"},
		{"--cluster-clear", "--cluster-clear goes with --cluster URL"},
		{"--cluster=", "--cluster is empty"},
		{"--cluster embed --cluster-ca c", "--cluster-ca goes with --cluster URL"},
		{"--cluster embed --cluster-clear", "--cluster-clear goes with --cluster URL"},
		{"--cluster nats://127.0.0.1:1 --cluster-listen 127.0.0.1:0", "--cluster-listen goes with --cluster embed"},
		{"--cluster nats://u:secret@192.0.2.1:4222", "in clear text: want tls://"},
		{"--cluster host:4222", "want a URL"},
		{"--cluster embed --local-workers -1", "out of range"},
		{"--cluster embed --give-back 1ms", "out of range"},
		{"--cluster embed --cluster-listen 0.0.0.0:4222", "it needs TLS"},
		{"--cluster nats://127.0.0.1:1 --cluster-cert c --cluster-key k", "--cluster embed"},
		{"--cluster embed --cluster-token /does/not/exist", "--cluster-token"},
		{"--cluster embed --engine target --target http://127.0.0.1:1", "--engine target asks a service"},
	} {
		text := run(t, dir, 2, append(strings.Fields("sweep surge --leases 2000 --broken 200 --out s"), strings.Fields(tt[0])...)...)
		if !strings.Contains(text, tt[1]) {
			t.Errorf("%s: %s, want %q", tt[0], text, tt[1])
		}
	}
	if left := tree(t, dir); len(left) > 0 {
		t.Errorf("files are left of what was refused: %v", left)
	}
	for _, verb := range []string{"worker", "status"} {
		if text := run(t, dir, 2, verb, "--cluster", "nowhere"); !strings.Contains(text, "neither a URL nor the folder") {
			t.Errorf("%s: %s", verb, text)
		}
		for _, flag := range []string{"--cluster-token", "--cluster-nkey", "--cluster-ca"} {
			if text := run(t, dir, 2, verb, "--cluster", "nowhere", flag, "f"); !strings.Contains(text, flag+" goes with the URL") {
				t.Errorf("%s: %s", verb, text)
			}
		}
	}
	if text := run(t, dir, 2, strings.Fields("rank surge --engine virtual --cluster embed --listen 127.0.0.1:0")...); !strings.Contains(text, "--listen shows the runs of this process") {
		t.Error(text)
	}
}

// A name that leads out of the folder is refused: what is unpacked was written by another host.
func TestUnpackStaysInItsFolder(t *testing.T) {
	from := t.TempDir()
	if err := os.WriteFile(filepath.Join(from, "aaaaaa"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	packed, err := pack(outcome{Result: &bench.Result{}}, from)
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "to")
	if out, err := unpack(packed, to); err != nil || out.Result.Folder != to || len(tree(t, to)) != 1 {
		t.Fatalf("%v, %+v", err, out)
	}
	for _, name := range []string{"../out", "a/../../b", "/etc/x", "a/b", ".."} {
		evil := repack(t, packed, 1, name)
		where := filepath.Join(t.TempDir(), "to")
		if _, err := unpack(evil, where); err == nil || !strings.Contains(err.Error(), "no name of a run's file") {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(where); err == nil {
			t.Errorf("%s: a folder is left", name)
		}
	}
}

// A cell that is asked for twice at once is run once, and a server that forgot the news changes nothing.
func TestCellIsRunOnce(t *testing.T) {
	s := serverOf(t, embedding{})
	c, end := begun(t, s.link, true)
	defer end()
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() {
			if _, err := c.Run(t.Context(), tiny(t), bench.Options{Seed: 1}); err != nil {
				t.Error(err)
			}
		})
	}
	for asked := 0; asked < 5; time.Sleep(5 * time.Millisecond) {
		c.mu.Lock()
		asked = c.report.Asked
		c.mu.Unlock()
	}
	time.Sleep(50 * time.Millisecond)
	if info, err := c.store.stream.Info(t.Context()); err != nil || info.State.Msgs != 1 {
		t.Errorf("%v, %+v: want the cell once", err, info)
	}
	working(t, s.link, time.Minute)
	all.Wait()
	status, err := c.store.js.ObjectStore(t.Context(), outcomeBucket)
	if err != nil {
		t.Fatal(err)
	}
	list, err := status.List(t.Context())
	if err != nil || len(list) != 1 {
		t.Errorf("%v, %d outcomes, want 1", err, len(list))
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) { // the outcome is there first
		if _, err := c.store.stream.GetMsg(t.Context(), 1); errors.Is(err, jetstream.ErrMsgNotFound) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the cell is still queued")
		}
	}
}

// Every flag of the page on many hosts is one of the command's.
func TestPageNamesFlags(t *testing.T) {
	text, err := os.ReadFile("../../docs/many-hosts.md")
	if err != nil {
		t.Fatal(err)
	}
	help := ""
	for _, verb := range []string{"agent", "drill", "incident", "map", "run", "status", "storm", "tables", "validate", "worker"} {
		cmd, _ := command(t.Context(), t, t.TempDir(), verb, "--help")
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		help += string(out)
	}
	flags := regexp.MustCompile(`--[a-z][a-z-]*`).FindAllString(string(text), -1)
	if len(flags) == 0 {
		t.Error("the page names no flag")
	}
	for _, flag := range flags {
		if !regexp.MustCompile(flag + `[ \n]`).MatchString(help) {
			t.Errorf("%s is no flag", flag)
		}
	}
}

// An error of a host goes to another host. If all meet it the cell is set aside with the error, and the next
// coordinator asks for it again, as it does for each cell that ended in an error.
func TestHostErrorIsNoOutcome(t *testing.T) {
	s := serverOf(t, embedding{})
	c, err := begin(t, s.link, "a")
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(t.TempDir(), "run")
	temp := os.TempDir()
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "missing"))
	for range most + 1 {
		working(t, s.link, time.Minute)
	}
	_, err = c.Run(t.Context(), tiny(t), bench.Options{Seed: 1, Folder: folder})
	if !errors.Is(err, study.ErrSetAside) || !strings.Contains(err.Error(), "missing: no such file") {
		t.Fatalf("an error of all hosts: %v", err)
	}
	if err := c.close(false); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", temp)
	if c, err = begin(t, s.link, "a"); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.close(true) }()
	if res, err := c.Run(t.Context(), tiny(t), bench.Options{Seed: 1, Folder: folder}); err != nil || res.Folder != folder {
		t.Errorf("when the hosts are mended: %v, %+v", err, res)
	}
}

// What is no outcome is refused by a text that says what it is.
func TestUnpackNamesWhatItGot(t *testing.T) {
	packed, err := pack(outcome{}, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unpack(repack(t, packed, 0, "other"), ""); err == nil || !strings.Contains(err.Error(), `first file is "other"`) {
		t.Errorf("%v", err)
	}
}

// A version is that of one program only if it is a commit without changes.
func TestBuildID(t *testing.T) {
	id := func(b bench.BuildInfo, program string) string {
		id, err := identify(b, func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(program)), nil })
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	clean, dirty, unknown := bench.BuildInfo{Commit: "c"}, bench.BuildInfo{Commit: "c", Dirty: true}, bench.BuildInfo{Commit: "unknown"}
	if id(clean, "one") != id(clean, "two") || id(clean, "one") == id(bench.BuildInfo{Commit: "d"}, "one") {
		t.Error("a commit is not what identifies a program built from it")
	}
	for _, b := range []bench.BuildInfo{dirty, unknown} {
		one, again := id(b, "one"), id(b, "one")
		if one == id(b, "two") || one != again {
			t.Errorf("%+v: the program does not count", b)
		}
	}
	if _, err := identify(dirty, func() (io.ReadCloser, error) { return nil, fs.ErrPermission }); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("a program that cannot be read: %v", err)
	}
}

// Only a cell that is in the queue counts as queued. A server that is connected and takes nothing ends the
// study, after it was said.
func TestServerTakesNothing(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{"maximum messages per subject exceeded": true, "no space left on device": false} {
		if got := queued(&jetstream.APIError{Code: 503, ErrorCode: 10077, Description: text}); got != want {
			t.Errorf("%s: queued is %v", text, got)
		}
	}
	s := serverOf(t, embedding{})
	c, end := begun(t, s.link, false)
	defer end()
	c.bears = time.Second
	if err := c.store.js.DeleteStream(t.Context(), cellStream); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Run(t.Context(), tiny(t), bench.Options{Seed: 1}); err == nil || !strings.Contains(err.Error(), "has failed for") {
		t.Errorf("a server that takes nothing: %v", err)
	}
}

// A server that is away is said, at most every few seconds, and does not end the study.
func TestServerAway(t *testing.T) {
	s := serverOf(t, embedding{})
	c, end := begun(t, s.link, false)
	defer end()
	said := 0
	c.bears, c.say = 0, func(string, ...any) { said++ }
	away := errors.New("away")
	c.nc.Close()
	long := trouble{first: time.Now().Add(-2 * sayAfter), connected: time.Now().Add(-time.Hour)}
	for range 3 {
		if err := c.bear(&long, away); err != nil {
			t.Errorf("a server that is away ends the study: %v", err)
		}
	}
	if said != 1 {
		t.Errorf("said %d times, want once", said)
	}
}

// The command for many hosts runs with a certificate of the coordinator's name for the other hosts: its own
// process and its local workers need no --cluster-ca. Nothing in the folder holds the user's token, and the
// link is gone after an interrupt.
func TestManyHosts(t *testing.T) {
	for _, names := range [][]string{{"coordinator.example.org"}, {"*.example.org"}, {"192.0.2.1"}} {
		cert, key := certificate(t, names...)
		s := serverOf(t, embedding{cert: cert, key: key, token: "t"})
		for _, l := range []link{s.link, s.inside()} {
			nc, _, err := l.connect("test", false)
			if err != nil {
				t.Errorf("%v: %v", names, err)
				continue
			}
			nc.Close()
		}
		if nc, _, err := (&link{URL: s.URL, Token: "t"}).connect("test", false); err == nil {
			nc.Close()
			t.Errorf("%v: a certificate that nobody vouches for is taken", names)
		}
	}
	if _, _, err := vouch(&x509.Certificate{}); err == nil || !strings.Contains(err.Error(), "subjectAltName") {
		t.Errorf("a certificate without a name: %v", err)
	}
	cert, key := certificate(t, "coordinator.example.org")
	dir := t.TempDir()
	token := filepath.Join(dir, "token")
	if err := os.WriteFile(token, []byte("users-own-token\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	many := filepath.Join(dir, "many")
	if err := os.Mkdir(many, 0o700); err != nil {
		t.Fatal(err)
	}
	args := strings.Fields("sweep surge --leases 2000 --broken 400 --x beta=1:4:2 --seeds 1 --contestants fifo,poison --out s --cluster embed --cluster-listen 0.0.0.0:0 --local-workers 1 --give-back 1h")
	cmd, errs := command(t.Context(), t, many, append(args, "--cluster-cert", cert, "--cluster-key", key, "--cluster-token", token)...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(many, "s")
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if st, err := status(t, folder); err == nil && st.Study != nil && len(st.Workers) > 0 {
			break // with the token of the user's file
		}
		if time.Now().After(deadline) {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			t.Fatalf("no worker has come: %s", errs)
		}
	}
	for name, text := range tree(t, many) {
		if strings.Contains(text, "users-own-token") {
			t.Errorf("%s holds the token", name)
		}
	}
	_ = cmd.Process.Signal(os.Interrupt)
	_ = cmd.Wait()
	if _, err := os.Stat(filepath.Join(folder, stateFolder, connectFile)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s after an interrupt: %v\n%s", connectFile, err, errs)
	}
}

// What an interrupted study has left on a server is not removed unasked, and its folder is named.
func TestInterruptedStudyStays(t *testing.T) {
	s := serverOf(t, embedding{})
	first, err := begin(t, s.link, "a")
	if err != nil {
		t.Fatal(err)
	}
	working(t, s.link, time.Minute)
	if _, err := first.Run(t.Context(), tiny(t), bench.Options{Seed: 1}); err != nil {
		t.Fatal(err)
	}
	if err := first.close(false); err != nil {
		t.Fatal(err)
	}
	if _, err := begin(t, s.link, "b"); !errors.Is(err, errOther) || !strings.Contains(err.Error(), "folder-a") || !strings.Contains(err.Error(), "--cluster-clear") {
		t.Errorf("another study: %v", err)
	}
	again, err := begin(t, s.link, "a")
	if err != nil {
		t.Fatal(err)
	}
	if len(again.known) != 1 {
		t.Errorf("%d cells are left of the interrupted study, want 1", len(again.known))
	}
	if err := again.close(false); err != nil {
		t.Fatal(err)
	}
	second, err := open(t.Context(), s.link, false, &state{id: "b"}, "folder-b", bench.Virtual{}, time.Second, true)
	if err != nil {
		t.Fatal(err)
	}
	if len(second.known) != 0 {
		t.Errorf("%d cells are another study's", len(second.known))
	}
	if err := second.close(true); err != nil {
		t.Error(err)
	}
}

// Credentials go to other hosts by TLS alone.
func TestCredentialsArePrivate(t *testing.T) {
	for _, tt := range []struct {
		l    link
		well bool
	}{
		{link{URL: "nats://192.0.2.1:4222"}, true}, // there is no secret
		{link{URL: "nats://192.0.2.1:4222", Token: "t"}, false},
		{link{URL: "192.0.2.1://x", Token: "t"}, false},
		{link{URL: "nats://nats.example.org:4222", Seed: "s"}, false},
		{link{URL: "nats://u:p@nats.example.org:4222"}, false},
		{link{URL: "ws://nats.example.org:4222", Token: "t"}, false},
		{link{URL: "tls://a.example.org:4222, nats://b.example.org:4222", Token: "t"}, false},
		{link{URL: "tls://nats.example.org:4222", Token: "t"}, true},
		{link{URL: "wss://nats.example.org:4222", Token: "t"}, true},
		{link{URL: "nats://nats.example.org:4222", Token: "t", CA: "pem"}, true}, // the client wants TLS then
		{link{URL: "nats://127.0.0.1:4222", Token: "t"}, true},
		{link{URL: "nats://[::1]:4222,nats://localhost:4223", Token: "t"}, true},
	} {
		if err := tt.l.private(); (err == nil) != tt.well {
			t.Errorf("%+v: %v", tt.l, err)
		}
	}
}

// A worker process that is refused is not started again, and its parent ends with the reason.
func TestRejectedWorkerEndsItsParent(t *testing.T) {
	t.Parallel()
	s := serverOf(t, embedding{})
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("wrong"), 0o600); err != nil {
		t.Fatal(err)
	}
	text := run(t, t.TempDir(), 1, "worker", "--cluster", s.URL, "--cluster-token", token)
	if !strings.Contains(text, "worker 1 of 1: "+errRejected.Error()) || strings.Contains(text, "started again") {
		t.Errorf("%s", text)
	}
}
