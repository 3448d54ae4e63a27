package main

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func ask(t *testing.T, method, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, strings.TrimSpace(string(text))
}

// It grants and checks leases, shielded or not, and knows them after a restart.
func TestManager(t *testing.T) {
	file := filepath.Join(t.TempDir(), "leases.db")
	for i, shielded := range []bool{false, true} {
		m, err := open(file, time.Hour, 0)
		if err != nil {
			t.Fatal(err)
		}
		h, err := handler(m, shielded, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		s := httptest.NewServer(h)
		if i == 0 {
			if status, text := ask(t, http.MethodPut, s.URL+"/lease/17"); status != http.StatusNotFound {
				t.Errorf("a check without a lease: %d %s", status, text)
			}
			if status, text := ask(t, http.MethodPost, s.URL+"/lease/17"); status != http.StatusOK || text != `{"epoch":1}` {
				t.Errorf("%d %s", status, text)
			}
		}
		if status, text := ask(t, http.MethodPut, s.URL+"/lease/17"); status != http.StatusOK || text != `{"epoch":1}` {
			t.Errorf("shield %v: a check: %d %s", shielded, status, text)
		}
		if status, _ := ask(t, http.MethodPost, s.URL+"/lease/x"); status != http.StatusBadRequest {
			t.Errorf("no droplet: %d", status)
		}
		s.Close()
		if err := m.db.Close(); err != nil {
			t.Error(err)
		}
	}
}

// The same over gRPC.
func TestGRPC(t *testing.T) {
	for _, shielded := range []bool{false, true} {
		m, err := open(filepath.Join(t.TempDir(), "leases.db"), time.Hour, 0)
		if err != nil {
			t.Fatal(err)
		}
		s, err := grpcServer(m, shielded, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go func() { _ = s.Serve(l) }()
		c, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range []struct {
			method string
			code   codes.Code
			epoch  int64
		}{{"Check", codes.NotFound, 0}, {"Establish", codes.OK, 1}, {"Check", codes.OK, 1}, {"Establish", codes.OK, 2}, {"Check", codes.OK, 2}} {
			var epoch wrapperspb.Int64Value
			err := c.Invoke(t.Context(), "/lease.v1.Leases/"+step.method, wrapperspb.UInt32(17), &epoch)
			if status.Code(err) != step.code || epoch.GetValue() != step.epoch {
				t.Errorf("shield %v: %s: epoch %d, %v; want %d, %v", shielded, step.method, epoch.GetValue(), err, step.epoch, step.code)
			}
		}
		_ = c.Close()
		s.Stop()
		if err := m.db.Close(); err != nil {
			t.Error(err)
		}
	}
}
