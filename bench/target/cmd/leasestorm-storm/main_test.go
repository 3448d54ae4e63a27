package main

import (
	"encoding/json"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"

	"github.com/leasestorm/leasestorm/cmd/leasestorm/cli"
)

// service is a gRPC server whose health everybody may ask.
func service(t *testing.T) (url string) {
	t.Helper()
	s := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(s, health.NewServer())
	reflection.Register(s)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.Serve(l)
	}()
	t.Cleanup(func() { s.Stop(); <-ended })
	return "grpc://" + l.Addr().String() + "/grpc.health.v1.Health/"
}

// call runs the command.
func call(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	errs, err := os.Create(filepath.Join(t.TempDir(), "err"))
	if err != nil {
		t.Fatal(err)
	}
	func() {
		defer func(o, e *os.File) { os.Stdout, os.Stderr = o, e }(os.Stdout, os.Stderr)
		os.Stdout, os.Stderr = out, errs
		status = cli.Main(args)
	}()
	text := func(f *os.File) string {
		defer func() { _ = f.Close() }()
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		all, err := io.ReadAll(f)
		if err != nil {
			t.Fatal(err)
		}
		return string(all)
	}
	return status, text(out), text(errs)
}

// A storm of half a second over gRPC, to a result.
func TestStorm(t *testing.T) {
	t.Chdir(t.TempDir())
	url := service(t) + "Check"
	status, stdout, stderr := call(t, append([]string{"storm", url, "surge", "--json", "--out", "x"}, strings.Fields("--leases 60 --broken 20 --duration 500ms"+
		" --call connections.most=2 --set timeout=200ms --set interval=4s --set ttl=12s --set steady=50ms --set outage=50ms --set spread=20ms")...)...)
	var res struct {
		Engine string `json:"engine"`
		Target struct {
			URL      string            `json:"url"`
			Requests int               `json:"requests"`
			Kinds    map[string]uint64 `json:"kinds"`
		} `json:"target"`
	}
	if err := json.Unmarshal([]byte(stdout), &res); err != nil || status != 0 && status != 4 || res.Engine != "target" || res.Target.URL != url {
		t.Fatalf("status %d, %v: %s%s", status, err, stdout, stderr)
	}
	if res.Target.Requests == 0 || res.Target.Kinds["answered"] == 0 {
		t.Errorf("%d requests, %v", res.Target.Requests, res.Target.Kinds)
	}
	if _, err := os.Stat("x/report.html"); err != nil {
		t.Error(err)
	}
}

// What a gRPC service does not have is refused before anything starts.
func TestStormRefused(t *testing.T) {
	t.Chdir(t.TempDir())
	url := service(t)
	for _, tt := range [][]string{
		{url, "Check, List, Watch"},
		{url + "Watch", "unary"},
		{"grpc://127.0.0.1:1/a/b", "it cannot be asked"},
		{"grpc://192.0.2.1:1/a/b", "--i-may-load-this"},
		{"etcd://127.0.0.1:1", "?ttl=30s"},
		{url + "Check", "JSON", "--call", "request.body={{"},
	} {
		status, stdout, stderr := call(t, append([]string{"storm", tt[0], "surge"}, tt[2:]...)...)
		if status != 2 || stdout != "" || !strings.Contains(stderr, strings.ReplaceAll(tt[1], "JSON", "grpc.health.v1.HealthCheckRequest")) {
			t.Errorf("%s: status %d, %s%s", tt[0], status, stdout, stderr)
		}
	}
}
