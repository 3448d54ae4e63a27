package scenario

import (
	"errors"
	"strings"
	"testing"
)

func TestBuiltinScenarios(t *testing.T) {
	for _, s := range All() {
		again, err := Parse("again.toml", []byte(s.TOML()))
		if err != nil || again != s {
			t.Errorf("%s written and read back: %v\n%+v\n%+v", s.Name, err, s, again)
		}
		if s.About == "" {
			t.Errorf("%s does not say what it is", s.Name)
		}
		if _, err := Fit(s, ShortestCheck); err != nil {
			t.Errorf("%s on one worker: %v", s.Name, err)
		}
	}
}

// Every error names file, line and key, and says what would be right.
func TestBadScenarios(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"name = \"x\"\nrow = 0.3", "bad.toml:2: bad scenario: row: unknown key; there are: name,"},
		{"name = \"x\"\n\nrho = 1.5", "bad.toml:3: bad scenario: rho: 1.5 is out of range: 0.001 to 0.99 of capacity"},
		{"name = \"x\"\nrho = nan", "bad.toml:2: bad scenario: rho: NaN is out of range"},
		{"name = \"x\"\ntimeout = 5", `bad.toml:2: bad scenario: timeout: 5 is not a time; write a number with its unit, in quotes in a file, as in "1s" or "500ms"`},
		{"name = \"x\"\ntimeout = \"5\"", "bad.toml:2: bad scenario: timeout: 5 is not a time"},
		{"name = \"x\"\ntimeout = \"-1s\"", "bad.toml:2: bad scenario: timeout: -1s is out of range: 0.01 to 3600 s"},
		{"name = \"x\"\nleases = 1.5", "bad.toml:2: bad scenario: leases: 1.5 is not a whole number"},
		{"name = \"x\"\nleases = 10\nbroken = 11", "bad.toml:3: bad scenario: broken: 11 is out of range: 0 to 10 leases (key leases)"},
		{"name = \"x\"\nbroken = 1\noutage = \"0s\"", "bad.toml:2: bad scenario: broken: 1 leases cannot break without an outage"},
		{"name = \"x\"\nqueue = \"lilo\"", `bad.toml:2: bad scenario: queue: queue discipline "lilo": unknown name; there are: `},
		{"name = \"x\"\nqueue = \"deadline:margin=-1\"", "bad.toml:2: bad scenario: queue: "},
		{"name = \"x\"\nttl = \"5s\"", "bad.toml:2: bad scenario: ttl: 5s is out of range: more than the interval, 20s"},
		{"name = \"x\"\nscale = \"all\"", `bad.toml:2: bad scenario: scale: "all": want service, leases or none`},
		{"name = \"x\"\npause = \"1s\"\npause_at = \"25s\"", "bad.toml:3: bad scenario: pause_at: 25s is after the end of the run, 25s after the return"},
		{"name = \"x\"\nabout = \"a\\u0000b\"", "bad.toml:2: bad scenario: about: "},
		{"name = \"a\\u0007\"", "bad.toml:1: bad scenario: name: "},
		{"name = \"a/b\"", `bad.toml:1: bad scenario: name: "a/b"`},
		{"name = \"\"", "bad.toml:1: bad scenario: name: missing"},
		{"rho = 0.3\nservice_time = \"1ms\"", "bad.toml:1: bad scenario: rho: with service_time it follows from leases, interval and workers"},
		{"scale = \"service\"\nservice_time = \"1ms\"", "bad.toml:2: bad scenario: service_time: with scale = \"service\" it follows from rho"},
		{"scale = \"none\"\nrho = 0.1", "bad.toml:2: bad scenario: rho: with service_time it follows"},
		{"service_law = \"lognormal:cv=0\"", "bad.toml:1: bad scenario: service_law: \"lognormal:cv=0\": cv is out of range: above 0 to 100"},
		{"service_law = \"normal\"", "bad.toml:1: bad scenario: service_law: \"normal\": want fixed, exponential,"},
		{"slow_at = \"end\"", "bad.toml:1: bad scenario: slow_at: \"end\": want service or arrival"},
		{"launch_law = \"fixed\"", "bad.toml:1: bad scenario: launch_law: \"fixed\": want poisson or even"},
		{"launch_tries = 0", "bad.toml:1: bad scenario: launch_tries: 0 is out of range: 1 to 254 tries"},
		{"workers = 5000", "bad.toml:1: bad scenario: workers: 5000 is out of range: 0 to 4096 workers"},
		{"name = ", "bad.toml:1:"},
		{"name = \"x\"\n[fleet]\nleases = 1", "bad.toml:2: bad scenario: fleet: unknown key"},
		{"name = \"x\"\nrho = 0.1\nrho = 0.2", "bad.toml:3:"},
		{"\x00\xff", "bad.toml:"},
	} {
		_, err := Parse("bad.toml", []byte(tt.text))
		if err == nil || !errors.Is(err, ErrScenario) || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%q:\n got %v\nwant %s…", tt.text, err, tt.want)
		}
	}
}

func TestSet(t *testing.T) {
	s, err := Load("surge")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Set("rho=0.4", "spread=0.5s", "leases=2_000_000", "queue=lifo"); err != nil {
		t.Fatal(err)
	}
	if s.Rho != 0.4 || s.Spread.Seconds() != 0.5 || s.Leases != 2_000_000 || s.Queue != "lifo" {
		t.Errorf("%+v", s)
	}
	for _, bad := range []string{"rho", "rho=", "rho=x", "spread=0.5", "leases=1.5", "leases=1.5e0", "leases=1e300", "leases=0x1000", "leases=0b1", "leases=1__0", "leases=_1", "rho=0x1p-2", "rho=nan", "rho=inf",
		"launch=1e-300", "launch=-0.1", "nosuch=1", "broken=-1", "table="} {
		if err := s.Set(bad); !errors.Is(err, ErrScenario) {
			t.Errorf("--set %s: %v", bad, err)
		}
	}
}

// A number is decimal, however it is written.
func TestNumbers(t *testing.T) {
	for text, want := range map[string]int{"010000": 10_000, "1e6": 1_000_000, "2.5e3": 2500, "1_000": 1000, "+7": 7, "100.0": 100} {
		s := Default()
		s.Name = "x"
		if err := s.Set("leases=" + text); err != nil || s.Leases != want {
			t.Errorf("--set leases=%s: %d, %v; want %d", text, s.Leases, err, want)
		}
	}
	s, err := Parse("x.toml", []byte("\ufeffname = \"x\"\nbroken = 1e3"))
	if err != nil || s.Broken != 1000 {
		t.Errorf("broken = 1e3 behind a byte-order mark: %d, %v", s.Broken, err)
	}
	if _, err := ParseRunbook("x.toml", []byte("\ufeff[[step]]\nat = \"1s\"\ndo = \"relax\"")); err != nil {
		t.Errorf("a runbook behind a byte-order mark: %v", err)
	}
}

// As many leases may break as the zones that surge have, to the last one.
func TestZonesThatSurge(t *testing.T) {
	for leases := 1; leases <= 40; leases++ {
		for zones := 1; zones <= 8; zones++ {
			for surge := range zones + 1 {
				most := 0
				for i := range leases {
					if surge == 0 || i%zones < surge {
						most++
					}
				}
				s := Default()
				s.Name, s.Leases, s.Zones, s.SurgeZones, s.Broken = "x", leases, zones, surge, most
				if err := s.Validate(); err != nil {
					t.Errorf("all %d of %d leases in %d of %d zones: %v", most, leases, surge, zones, err)
				}
				if s.Broken++; s.Validate() == nil {
					t.Errorf("%d of %d leases in %d of %d zones pass", s.Broken, leases, surge, zones)
				}
			}
		}
	}
}

func TestLoadScenario(t *testing.T) {
	if _, err := Load("nosuch"); err == nil || !strings.Contains(err.Error(), "surge-100") {
		t.Errorf("an unknown scenario: %v; want a list of what exists", err)
	}
	if _, err := Load("nosuch.toml"); !errors.Is(err, ErrScenario) {
		t.Errorf("a missing file: %v", err)
	}
}

func FuzzParseScenario(f *testing.F) {
	for _, s := range All() {
		f.Add([]byte(s.TOML()))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := Parse("fuzz.toml", text)
		if err != nil {
			return
		}
		if again, err := Parse("again.toml", []byte(s.TOML())); err != nil || again != s {
			t.Errorf("read, written and read again: %v\n%+v\n%+v", err, s, again)
		}
	})
}
