package operator_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leasestorm/leasestorm/bench/incident/operator"
)

func TestClock(t *testing.T) {
	for _, c := range []struct {
		clock string
		at    time.Duration
	}{
		{"23:30", 0},
		{"23:48", 18 * time.Minute},
		{"00:00", 30 * time.Minute},
		{"00:38", 68 * time.Minute},
		{"02:25:30", 2*time.Hour + 55*time.Minute + 30*time.Second},
		{"15:00", operator.Length},
	} {
		at, err := operator.At(c.clock)
		if err != nil || at != c.at || operator.Clock(at) != c.clock[:5] {
			t.Errorf("%s: %v, %v, and back %s; want %v", c.clock, at, err, operator.Clock(at), c.at)
		}
	}
	for _, clock := range []string{"", "1:00", "24:00", "23:60", "15:00:01", "15:01", "23:29", "02:25:60", "02:25:00:00", "+2:25", "2h25m"} {
		if at, err := operator.At(clock); err == nil {
			t.Errorf("%q is %v: want an error", clock, at)
		}
	}
}

// The built-in day has the public times, and says of each step how its time is known.
func TestDay(t *testing.T) {
	b, err := operator.Load("day")
	if err != nil {
		t.Fatal(err)
	}
	type known struct{ at, do string }
	var public []known
	for _, s := range b.Steps {
		switch s.Source {
		case operator.SourcePublic:
			public = append(public, known{s.Clock, s.Do})
		case operator.SourceEstimated:
		default:
			t.Errorf("%s %s has no source", s.Clock, s.Do)
		}
	}
	want := []known{
		{"00:38", operator.FindCause}, {"01:15", operator.MendInternal}, {"02:25", operator.MendName},
		{"04:14", operator.Throttle}, {"04:14", operator.Restart}, {"05:38", operator.AutomationOff},
		{"06:52", operator.Note}, {"09:36", operator.FailOverOff}, {"11:23", operator.Relax},
		{"11:23", operator.ThrottleLaunch}, {"13:50", operator.RelaxLaunch}, {"14:09", operator.FailOverOn},
	}
	if !slices.Equal(public, want) {
		t.Errorf("public steps\n%v\nwant\n%v", public, want)
	}
	at, ok := b.AtManager()
	if clock := operator.Clock(at); !ok || clock != "04:14" {
		t.Errorf("the first action at the manager is at %s, %v; want 04:14", clock, ok)
	}
}

// The runbook "none" mends the name at the day's time and does nothing else.
func TestNone(t *testing.T) {
	b, err := operator.Load("none")
	if err != nil {
		t.Fatal(err)
	}
	day, err := operator.Load("day")
	if err != nil {
		t.Fatal(err)
	}
	if at, ok := b.AtManager(); ok {
		t.Errorf("acts at the manager at %v", at)
	}
	for _, s := range b.Steps {
		if at, ok := day.First(s.Do); !ok || at != s.At {
			t.Errorf("%s at %v: the day has it at %v", s.Do, s.At, at)
		}
	}
}

// Windows that tile the day meet every step once.
func TestDue(t *testing.T) {
	b, err := operator.Load("day")
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []time.Duration{time.Second, time.Minute, 7 * time.Minute, 20 * time.Hour} {
		var met []operator.Step
		for now := time.Duration(0); now <= operator.Length; now += step {
			met = append(met, b.Due(now, now+step)...)
		}
		if !slices.Equal(met, b.Steps) {
			t.Errorf("in windows of %v: %d steps of %d", step, len(met), len(b.Steps))
		}
	}
}

// The restarts of the day reach every partition once.
func TestRestarts(t *testing.T) {
	b, err := operator.Load("day")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{1, 2, 3, 4, 7, 16, 100} {
		reached := make([]int, n)
		for _, s := range b.Steps {
			for i := range reached {
				if s.Restarts(i, n) {
					reached[i]++
				}
			}
		}
		if slices.Max(reached) != 1 || slices.Min(reached) != 1 {
			t.Errorf("%d partitions are restarted %v times: want once each", n, reached)
		}
	}
	round, err := operator.Parse("x.toml", []byte(strings.Repeat("[[step]]\nat = \"04:14\"\ndo = \"restart\"\nvalue = 0.75\n", 2)))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"1110", "1101"} {
		got := ""
		for p := range 4 {
			got += map[bool]string{true: "1", false: "0"}[round.Steps[i].Restarts(p, 4)]
		}
		if got != want {
			t.Errorf("restart %d of 0.75 reaches %s of 4 partitions; want %s", i+1, got, want)
		}
	}
}

func TestLoadFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "mine.toml")
	if err := os.WriteFile(file, []byte("\ufeff[[step]]\nat = \"02:25\"\ndo = \"mend-name\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := operator.Load(file)
	if err != nil || b.Name != "mine" || len(b.Steps) != 1 {
		t.Errorf("%+v, %v", b, err)
	}
	for name, want := range map[string]string{"nobody": "there are: day, early, none", "absent.toml": "absent.toml"} {
		if _, err := operator.Load(name); !errors.Is(err, operator.ErrRunbook) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want …%s…", name, err, want)
		}
	}
}

// A built-in runbook can be copied: its text reads back as the same runbook.
func TestText(t *testing.T) {
	for _, name := range operator.Names() {
		want, err := operator.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		text, ok := operator.Text(name)
		if b, err := operator.Parse("copy.toml", []byte(text)); !ok || err != nil || b.Name != name || !slices.Equal(b.Steps, want.Steps) {
			t.Errorf("%s: %v, %v", name, ok, err)
		}
	}
	if _, ok := operator.Text("nobody"); ok {
		t.Error("there is a text of a runbook that does not exist")
	}
}

func TestErrors(t *testing.T) {
	step := func(at, do, more string) string {
		return "[[step]]\nat = \"" + at + "\"\ndo = \"" + do + "\"\n" + more + "\n"
	}
	for text, want := range map[string]string{
		"":                                       "needs a [[step]]",
		"[[step]]":                               `step 1: at = "" is not a time`,
		"[[step":                                 "x.toml:1:",
		"stop = 1":                               "x.toml:1:1: bad runbook: unknown key stop: there are name, about, and [[step]]",
		step("16:00", "note", ""):                "step 1: at = 16:00 is outside the day: want 23:30 to 15:00",
		step("8s", "note", ""):                   "want PDT hours and minutes",
		step("04:14", "pray", ""):                `do = "pray": there are find-cause, mend-internal`,
		step("04:14", "restart", ""):             "restart with value = 0: want the share of the manager's partitions",
		step("04:14", "restart", "value = 2"):    "above 0 to 1",
		step("04:14", "throttle", "value = nan"): "throttle with value = NaN",
		step("04:14", "throttle-launches", "value = 101"):               "above 0 to 100",
		step("04:14", "relax", "value = 1"):                             "relax has no value",
		step("04:14", "note", `source = "hearsay"`):                     "there are public, estimated",
		step("04:14", "note", "") + step("23:48", "note", ""):           "step 2: at 23:48 is before the step above it, 04:14",
		step("02:25", "mend-name", "") + step("02:26", "mend-name", ""): "step 2: mend-name can be done once",
	} {
		if _, err := operator.Parse("x.toml", []byte(text)); !errors.Is(err, operator.ErrRunbook) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want …%s…", text, err, want)
		}
	}
}
