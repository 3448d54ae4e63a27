package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/cluster/table"
	"github.com/leasestorm/leasestorm/bench/study"
	"github.com/leasestorm/leasestorm/cmd/leasestorm/cli"
)

// Cluster is what the command has beside leasestorm's own: studies whose runs workers make.
type Cluster struct {
	server   string // URL, or embed
	local    int
	giveBack time.Duration
	limit    time.Duration
	listen   string
	agents   int           // of a storm; 0: this process is the generator
	muster   time.Duration // how long they are awaited
	cert     string
	certKey  string
	clear    bool
	metrics  string // address; "": none
	secrets
	flags map[string]*pflag.FlagSet // those of Flags, by verb
}

// secrets are the files by which a process proves who it is, and the server is known.
type secrets struct{ token, nkey, ca string }

// New returns the extension of the command, for [cli.Main].
func New() *Cluster { return &Cluster{flags: map[string]*pflag.FlagSet{}} }

var (
	_ cli.Elsewhere = (*Cluster)(nil)
	_ cli.Flagged   = (*Cluster)(nil)
)

const (
	embed     = "embed"
	stdinFlag = "from-parent"
	// connectFile is the name, in the state's folder, of how the embedded server is reached.
	connectFile = "connect.json"
)

func (s *secrets) flags(flags *pflag.FlagSet) {
	flags.StringVar(&s.token, "cluster-token", "", "file with the token that coordinator and workers show to the NATS server")
	flags.StringVar(&s.nkey, "cluster-nkey", "", "file with the seed of an NKey, instead of a token")
	flags.StringVar(&s.ca, "cluster-ca", "", "file with the certificates in PEM that vouch for the NATS server's (default: those of the system)")
}

func (s *secrets) link(url string) (l link, err error) {
	if s.token != "" && s.nkey != "" {
		return l, errors.New("--cluster-token and --cluster-nkey exclude one another")
	}
	l.URL = url
	if l.Token, err = secret("cluster-token", s.token); err != nil {
		return l, err
	}
	if l.Seed, err = secret("cluster-nkey", s.nkey); err != nil {
		return l, err
	}
	l.CA, err = secret("cluster-ca", s.ca)
	return l, err
}

// Flags implements cli.Elsewhere.
func (c *Cluster) Flags(verb string, flags *pflag.FlagSet) {
	c.flags[verb] = flags
	if verb == cli.Storm {
		flags.StringVar(&c.server, "cluster", "", "URL of the NATS server with JetStream by which the agents are reached, or embed: one inside this process")
		flags.IntVar(&c.agents, "agents", 0, "number of agents over which the droplets are split; 0: --local-agents, or this process alone")
		flags.IntVar(&c.local, "local-agents", 0, "number of agent processes to run beside this one; without --cluster they have a server of their own")
		flags.DurationVar(&c.muster, "agents-wait", 30*time.Second, "how long to wait for the agents")
		c.serverFlags(flags)
		return
	}
	flags.StringVar(&c.server, "cluster", "", "make the runs on workers: URL of a NATS server with JetStream, or embed: one inside this process")
	flags.IntVar(&c.local, "local-workers", 0, "number of worker processes to keep running beside this one; with --cluster")
	flags.DurationVar(&c.giveBack, "give-back", 10*time.Second, "time without a sign of life after which a worker's cell goes to another; with --cluster")
	flags.DurationVar(&c.limit, "cell-limit", 30*time.Minute, "time after which a local worker gives up a cell, and ends")
	flags.BoolVar(&c.clear, "cluster-clear", false, "remove what an interrupted study has left on the NATS server; with the URL of one")
	flags.StringVar(&c.metrics, metricsFlag, "", metricsHelp+"; with --cluster")
	c.serverFlags(flags)
}

// serverFlags are those of the embedded server, and of how one is reached.
func (c *Cluster) serverFlags(flags *pflag.FlagSet) {
	flags.StringVar(&c.listen, "cluster-listen", "127.0.0.1:0", "address HOST:PORT of the embedded server; beyond loopback it needs TLS and credentials")
	flags.StringVar(&c.cert, "cluster-cert", "", "file with the embedded server's certificate in PEM")
	flags.StringVar(&c.certKey, "cluster-key", "", "file with that certificate's private key in PEM")
	c.secrets.flags(flags)
}

// say writes a line for a person.
func say(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

// Place implements cli.Elsewhere.
func (c *Cluster) Place(ctx context.Context, verb string) (study.Place, error) {
	if err := noEffect(c.flags[verb], c.server, c.local); err != nil {
		return nil, cli.Usage(err)
	}
	if c.server == "" {
		return nil, nil
	}
	l, e, err := c.reach()
	switch {
	case err != nil:
	case c.local < 0 || c.local > 1024:
		err = fmt.Errorf("--local-workers %d is out of range: 0 to 1024 processes", c.local)
	case c.giveBack < time.Second || c.giveBack > time.Hour:
		err = fmt.Errorf("--give-back %v is out of range: 1s to 1h", c.giveBack)
	case c.limit < time.Second:
		err = fmt.Errorf("--cell-limit %v is out of range: 1s or more", c.limit)
	default:
		err = checkMetrics(c.metrics)
	}
	if err != nil {
		return nil, cli.Usage(err)
	}
	return func(dir string, here bench.Runner) (bench.Runner, func(error) error, error) {
		return c.begin(ctx, verb, dir, here, l, e)
	}, nil
}

// reach is how the server that the flags name is reached, or made.
func (c *Cluster) reach() (l link, e embedding, err error) {
	l, err = c.secrets.link(c.server)
	e = embedding{listen: c.listen, cert: c.cert, key: c.certKey, token: l.Token, seed: l.Seed}
	switch {
	case err != nil:
	case c.server == embed:
		_, _, err = e.address()
	case !strings.Contains(c.server, "://"):
		err = fmt.Errorf("--cluster %s: want a URL, as in nats://127.0.0.1:4222 or tls://nats.example.org:4222, or embed", shown(c.server))
	default:
		err = l.private()
	}
	return l, e, err
}

// started is what begin has started for a study.
type started struct {
	state       *state
	own         *embedded // nil: the server is another process's
	coordinator *coordinator
	quiet       func() // ends the metrics
	dismiss     func() // ends the local workers
}

// begin starts what a study in a folder needs.
func (c *Cluster) begin(ctx context.Context, verb, dir string, here bench.Runner, l link, e embedding) (bench.Runner, func(error) error, error) {
	if name := here.Name(); name != (bench.Virtual{}).Name() && name != realEngine {
		return nil, nil, cli.Usage(fmt.Errorf("--cluster makes runs in virtual time or on real cores, and --engine %s asks a service: leave out --cluster, or %s with --engine virtual", name, verb))
	}
	s, err := keepState(dir)
	if err != nil {
		return nil, nil, err
	}
	b := &started{state: s, quiet: func() {}}
	inside := l
	if c.server == embed {
		if b.own, err = c.serverOf(ctx, s.dir, e); err == nil {
			l, inside = b.own.link, b.own.inside()
		}
	}
	temp := ""
	if err == nil {
		temp, err = filepath.Abs(filepath.Join(s.dir, "tmp"))
	}
	if err == nil {
		err = os.MkdirAll(temp, 0o700)
	}
	if err == nil {
		b.coordinator, err = open(ctx, inside, b.own != nil, s, dir, here, c.giveBack, c.clear)
	}
	if err == nil && b.own != nil {
		b.coordinator.mindSpace(s.dir)
	}
	if err == nil && c.metrics != "" {
		b.quiet, err = b.coordinator.serve(ctx, c.metrics)
	}
	if err != nil {
		return nil, nil, b.undo(err)
	}
	b.employ(ctx, c.local, temp, asked{Link: l, Limit: c.limit, Turns: turnsFolder()})
	return b.coordinator, b.end, nil
}

// serverOf starts the embedded server of a study, whose state is in the folder dir.
func (c *Cluster) serverOf(ctx context.Context, dir string, e embedding) (*embedded, error) {
	own, err := e.start(dir)
	if err != nil {
		return nil, err
	}
	say("cluster: the embedded NATS server is at %s; leasestorm-cluster status --cluster %s", own.URL, filepath.Dir(dir))
	// After an interrupt the process may be ended before the study has wound up.
	context.AfterFunc(ctx, func() { _ = removeLink(dir) })
	if err := writeLink(dir, own.link, c.secrets); err != nil {
		own.stop()
		return nil, errors.Join(err, removeLink(dir))
	}
	return own, nil
}

// employ keeps n local workers, whose temporary files are in the folder temp, until dismiss.
func (b *started) employ(ctx context.Context, n int, temp string, a asked) {
	working, stop := context.WithCancel(context.WithoutCancel(ctx))
	var all sync.WaitGroup
	all.Go(func() {
		if err := processes(working, "worker", n, temp, a, say); err != nil {
			b.coordinator.stop(err)
		}
	})
	b.dismiss = func() {
		stop()
		all.Wait()
	}
}

// undo ends what has been started for a study that cannot begin because of err.
func (b *started) undo(err error) error {
	if b.coordinator != nil {
		err = errors.Join(err, b.coordinator.close(b.state.mine))
	}
	if b.own != nil {
		b.own.stop()
		err = errors.Join(err, removeLink(b.state.dir))
	}
	return errors.Join(err, b.state.end(false))
}

// end ends what has been started for a study that ended by err.
func (b *started) end(err error) error {
	whole := err == nil
	b.dismiss()
	b.quiet()
	// The cells of a study without a folder are of no use to anybody.
	if closing := b.coordinator.close(whole || b.state.mine); !errors.Is(err, closing) {
		err = errors.Join(err, closing)
	}
	if b.own != nil {
		b.own.stop()
		err = errors.Join(err, removeLink(b.state.dir))
	}
	if errors.Is(err, study.ErrSetAside) {
		err = errors.Join(err, b.state.keepAside(b.coordinator.report.Aside))
	}
	return errors.Join(err, b.state.end(whole && err == nil))
}

// fromFiles is a link as connectFile holds it: a user's credentials stay in the user's files.
type fromFiles struct {
	link
	TokenFile string `json:"token_file,omitempty"`
	SeedFile  string `json:"nkey_file,omitempty"`
}

// writeLink keeps how the embedded server is reached, for its owner alone, until it ends.
func writeLink(dir string, l link, s secrets) (err error) {
	f := fromFiles{link: l}
	if s.token != "" {
		f.Token = ""
		f.TokenFile, err = filepath.Abs(s.token)
	}
	if s.nkey != "" && err == nil {
		f.Seed = ""
		f.SeedFile, err = filepath.Abs(s.nkey)
	}
	if err == nil {
		err = removeLink(dir) // its mode may be another
	}
	if err != nil {
		return err
	}
	text, err := json.Marshal(f)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, connectFile), text, 0o600)
}

// removeLink removes what writeLink has written.
func removeLink(dir string) error { return os.RemoveAll(filepath.Join(dir, connectFile)) }

// linkOf reads a URL, or the folder of a study whose coordinator runs on this host with its own server.
func (s *secrets) linkOf(where string) (l link, err error) {
	if where == "" {
		return l, errors.New("--cluster is missing: the URL of the NATS server, or the folder of a study on this host")
	}
	if strings.Contains(where, "://") {
		if l, err = s.link(where); err == nil {
			err = l.private()
		}
		return l, err
	}
	if info, err := os.Stat(where); shown(where) != where && (err != nil || !info.IsDir()) {
		return l, fmt.Errorf("--cluster %s is neither a URL nor the folder of a study: want a URL, as in tls://nats.example.org:4222", shown(where)) // an error of the file would have all of it
	}
	for flag, value := range map[string]string{"cluster-token": s.token, "cluster-nkey": s.nkey, "cluster-ca": s.ca} {
		if value != "" {
			return l, fmt.Errorf("--%s goes with the URL of a NATS server: the folder %s has what it takes to reach its own", flag, where)
		}
	}
	path := filepath.Join(where, stateFolder, connectFile)
	text, err := os.ReadFile(path)
	var f fromFiles
	if err == nil {
		err = json.Unmarshal(text, &f)
	}
	if err == nil && f.TokenFile != "" {
		f.Token, err = secret("cluster-token", f.TokenFile)
	}
	if err == nil && f.SeedFile != "" {
		f.Seed, err = secret("cluster-nkey", f.SeedFile)
	}
	if err != nil {
		return l, fmt.Errorf("--cluster %s is neither a URL nor the folder of a study that is on its way with --cluster embed: %w", where, err)
	}
	return f.link, nil
}

// EveryVerb implements cli.Flagged.
func (c *Cluster) EveryVerb(flags *pflag.FlagSet) { table.Flag(flags) }

// Commands implements cli.Elsewhere.
func (c *Cluster) Commands() []*cobra.Command {
	return []*cobra.Command{agentCommand(), workerCommand(), statusCommand(), table.Compare(), table.Command()}
}

// workerFlags are the flags of `worker`.
type workerFlags struct {
	secrets
	where     string
	many      int
	limit     time.Duration
	addr      string
	fromStdin bool
}

func workerCommand() *cobra.Command {
	var f workerFlags
	cmd := &cobra.Command{
		Use:   "worker",
		Short: "run cells of other hosts' studies until it is stopped",
		Long: `Takes cells of a study that runs with --cluster, runs them and stores their files, until
it is stopped. It waits for a server that is not there yet. A worker runs scenarios only: no shell
command, and no file of a name that the coordinator chooses. Coordinator and workers must be of one version.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.fromStdin {
				return workForParent(cmd.Context())
			}
			return f.work(cmd.Context())
		},
	}
	cmd.Flags().StringVar(&f.where, "cluster", "", "URL of the NATS server, or folder of a study on this host")
	cmd.Flags().IntVar(&f.many, "processes", 1, "number of worker processes; each is started again a second after it dies")
	cmd.Flags().DurationVar(&f.limit, "cell-limit", 30*time.Minute, "time after which a worker gives up a cell, and ends")
	cmd.Flags().StringVar(&f.addr, metricsFlag, "", metricsHelp)
	cmd.Flags().BoolVar(&f.fromStdin, stdinFlag, false, "")
	if err := cmd.Flags().MarkHidden(stdinFlag); err != nil {
		panic(err)
	}
	f.flags(cmd.Flags())
	return cmd
}

// workForParent is a worker process of a parent.
func workForParent(ctx context.Context) error {
	ctx, a, err := fromParent(ctx, os.Stdin)
	if err != nil {
		return err
	}
	if err = work(ctx, a.Link, a.Limit, a.Turns, say, teller(os.Stdout)); errors.Is(err, errRejected) {
		err = cli.Exit(rejectedStatus, err)
	}
	return err
}

// work is the parent of the worker processes.
func (f *workerFlags) work(ctx context.Context) error {
	l, err := f.linkOf(f.where)
	if err == nil && (f.many < 1 || f.many > 1024) {
		err = fmt.Errorf("--processes %d is out of range: 1 to 1024", f.many)
	}
	if err == nil && f.limit < time.Second {
		err = fmt.Errorf("--cell-limit %v is out of range: 1s or more", f.limit)
	}
	if err == nil {
		err = checkMetrics(f.addr)
	}
	if err != nil {
		return cli.Usage(err)
	}
	a := asked{Link: l, Limit: f.limit, Turns: turnsFolder(), tally: newTally()}
	if f.addr != "" {
		stop, err := serveMetrics(ctx, a.tally.registry(), f.addr, say)
		if err != nil {
			return err
		}
		defer stop()
	}
	return processes(ctx, "worker", f.many, "", a, say)
}
