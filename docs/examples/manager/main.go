// Command manager is a small lease manager over HTTP and gRPC, to try a storm on. POST /lease/17 grants droplet 17 a
// lease, PUT /lease/17 checks it. Leases are in SQLite, and a grant costs a transaction and some work.
//
// As it is, it serves whatever comes, in the order in which it comes, however long its clients have been
// gone. That is how most services begin, and it collapses under a surge. With -shield three lines let
// requests in through a discipline instead.
package main

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	_ "modernc.org/sqlite"

	"github.com/leasestorm/leasestorm/queue/shield"
)

// manager grants leases. One transaction at a time writes, as SQLite has it.
type manager struct {
	db   *sql.DB
	ttl  time.Duration
	work time.Duration // of a grant, beside the database: what a real manager asks of the server
	one  sync.Mutex
}

func open(file string, ttl, work time.Duration) (*manager, error) {
	db, err := sql.Open("sqlite", "file:"+file+"?_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	_, err = db.Exec(`CREATE TABLE IF NOT EXISTS lease (droplet INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, until INTEGER NOT NULL)`)
	return &manager{db: db, ttl: ttl, work: work}, err
}

// establish grants a droplet a new lease and returns its epoch.
func (m *manager) establish(droplet uint32) (epoch int64, err error) {
	m.one.Lock() // sync.Mutex is nearly first come, first served: a queue without a limit
	defer m.one.Unlock()
	for began, sum := time.Now(), [32]byte{}; time.Since(began) < m.work; {
		sum = sha256.Sum256(sum[:])
	}
	err = m.db.QueryRow(`INSERT INTO lease VALUES (?1, 1, ?2)
		ON CONFLICT (droplet) DO UPDATE SET epoch = epoch + 1, until = ?2 RETURNING epoch`, droplet, time.Now().Add(m.ttl).UnixMilli()).Scan(&epoch)
	return epoch, err
}

var errNoLease = errors.New("no lease")

// check extends a live lease.
func (m *manager) check(droplet uint32) (epoch int64, err error) {
	now := time.Now()
	err = m.db.QueryRow(`UPDATE lease SET until = ?2 WHERE droplet = ?1 AND until > ?3 RETURNING epoch`, droplet, now.Add(m.ttl).UnixMilli(), now.UnixMilli()).Scan(&epoch)
	if errors.Is(err, sql.ErrNoRows) {
		err = errNoLease
	}
	return epoch, err
}

// ServeHTTP answers POST and PUT of /lease/DROPLET.
func (m *manager) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	droplet, err := strconv.ParseUint(r.PathValue("droplet"), 10, 32)
	if err != nil {
		http.Error(w, "no such droplet", http.StatusBadRequest)
		return
	}
	do := m.establish
	if r.Method == http.MethodPut {
		do = m.check
	}
	epoch, err := do(uint32(droplet))
	switch {
	case errors.Is(err, errNoLease):
		http.Error(w, err.Error(), http.StatusNotFound)
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	default:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]int64{"epoch": epoch})
	}
}

// handler is the manager's, shielded or not. timeout is what a client waits that does not say so.
func handler(m *manager, shielded bool, timeout time.Duration) (http.Handler, error) {
	mux := http.NewServeMux()
	mux.Handle("POST /lease/{droplet}", m)
	mux.Handle("PUT /lease/{droplet}", m)
	if !shielded {
		return mux, nil
	}
	gate, err := shield.New(shield.Config{Concurrency: 1, Timeout: timeout})
	return shield.Handler(mux, gate, shield.HTTP{Timeout: shield.MillisHeader("X-Request-Timeout")}), err
}

func run() error {
	listen := flag.String("listen", "127.0.0.1:8080", "address to serve on")
	file := flag.String("db", "", "file of the leases (default: one in a folder of its own, which is left)")
	ttl := flag.Duration("ttl", time.Minute, "time to live of a lease")
	work := flag.Duration("work", 4*time.Millisecond, "CPU time of a grant, beside the database")
	timeout := flag.Duration("timeout", 2*time.Second, "how long a client waits that does not say so in X-Request-Timeout (ms)")
	overGRPC := flag.String("grpc", "", "address to serve gRPC on, as lease.proto has it (default: none)")
	shielded := flag.Bool("shield", false, "let requests in through queue/shield")
	flag.Parse()
	if *file == "" {
		dir, err := os.MkdirTemp("", "manager")
		if err != nil {
			return err
		}
		*file = filepath.Join(dir, "leases.db")
	}
	m, err := open(*file, *ttl, *work)
	if err != nil {
		return err
	}
	defer func() { _ = m.db.Close() }()
	h, err := handler(m, *shielded, *timeout)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	if *overGRPC != "" {
		g, err := grpcServer(m, *shielded, *timeout)
		if err != nil {
			return err
		}
		l, err := net.Listen("tcp", *overGRPC)
		if err != nil {
			return err
		}
		fmt.Printf("serving grpc://%s/lease.v1.Leases\n", l.Addr())
		go func() { _ = g.Serve(l) }()
		defer g.Stop()
	}
	fmt.Printf("serving http://%s/lease (leases in %s)\n", l.Addr(), *file)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		<-ctx.Done()
		_ = s.Close()
	}()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func main() {
	if err := run(); err != nil {
		log.Fatal("manager: ", err)
	}
}
