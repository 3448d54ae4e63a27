package bench

import (
	"path/filepath"
	"strings"
	"testing"
)

// The manifest's command says how threads idled, and finds the folder of measured services from
// anywhere.
func TestCommand(t *testing.T) {
	s := surgeAt(t, "queue=slack:theta=0.3,guard=0")
	s.Name, s.About = "own", "it's"
	x, err := newExperiment(s, 2, 7, 1)
	if err != nil {
		t.Fatal(err)
	}
	x.how = Options{Idle: "park", MaxQueue: 5, Service: "measured:a folder"}
	want := `leasestorm run surge --set name=own --set 'about=it'\''s' --set leases=10000 --set broken=1000 --set queue=slack:theta=0.3,guard=0 --workers 2 --seed 7 --max-queue 5 --idle park`
	if got := x.command("real"); got != want {
		t.Errorf("%s; want\n%s", got, want)
	}
	abs, err := filepath.Abs("a folder")
	if err != nil {
		t.Fatal(err)
	}
	if got := x.command("virtual"); !strings.HasPrefix(got, "leasestorm sim surge ") || !strings.HasSuffix(got, " --service '"+"measured:"+abs+"'") {
		t.Error(got)
	}
}
