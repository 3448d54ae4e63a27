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
	s.Name, s.About, s.Workers, s.ServiceLaw = "own", "it's", 2, "measured:a folder"
	x, err := newExperiment(s, 7, 1)
	if err != nil {
		t.Fatal(err)
	}
	x.how = Options{Idle: "park", MaxQueue: 5}
	abs, err := filepath.Abs("a folder")
	if err != nil {
		t.Fatal(err)
	}
	want := `leasestorm run surge --set name=own --set 'about=it'\''s' --set leases=10000 --set broken=1000 --set workers=2 --set 'service_law=measured:` + abs + `' --set queue=slack:theta=0.3,guard=0 --seed 7 --max-queue 5 --idle park`
	if got := x.command("real"); got != want {
		t.Errorf("%s; want\n%s", got, want)
	}
	if got := x.command("virtual"); !strings.HasPrefix(got, "leasestorm sim surge ") || strings.Contains(got, "--idle") {
		t.Error(got)
	}
}
