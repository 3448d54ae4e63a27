package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// ghzProgram is ghz. It is a program of its own beside ours: its module needs hundreds of others.
var ghzProgram = "ghz"

// errNotHere is returned by a client that is not installed.
var errNotHere = errors.New("not installed")

// ghz is the load generator of gRPC. Its CPU time is that of its process, whose start and reflection are a
// hundredth of it in a measurement of two seconds.
func ghz(address string, length time.Duration) (d done, err error) {
	path, err := exec.LookPath(ghzProgram)
	if err != nil {
		return d, fmt.Errorf("%w: %w; go install github.com/bojand/ghz/cmd/ghz@v0.121.0", errNotHere, err)
	}
	cmd := exec.Command(path, "--insecure", "--call", "grpc.health.v1.Health/Check", "-d", "{}", "-c", strconv.Itoa(calls),
		"--connections", strconv.Itoa(calls/streams), "-z", length.String(), "-O", "json", address)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return d, fmt.Errorf("%w: %s", err, strings.TrimSpace(errs.String()))
	}
	var report struct {
		Total    time.Duration  `json:"total"`
		Statuses map[string]int `json:"statusCodeDistribution"`
	}
	if err := json.Unmarshal(out, &report); err != nil {
		return d, err
	}
	return done{report.Statuses["OK"], report.Total, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}, nil
}
