package cli

import (
	"os"
	"strings"
	"testing"
)

// What makes no sense is refused before anything starts, by the flag's name and with what there is.
func TestIncidentRefuses(t *testing.T) {
	t.Chdir(t.TempDir())
	write := func(name, text string) {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("late.toml", "[[step]]\nat = \"17:00\"\ndo = \"throttle\"\nvalue = 0.5\n")
	write("unknown.toml", "[[step]]\nat = \"04:00\"\ndo = \"pray\"\n")
	for args, want := range map[string]string{
		"--dns-mend hope":                    "fencing",
		"--race never":                       "scripted or drawn",
		"--delay holiday":                    "lock or slow",
		"--clean-up all":                     "delete-active",
		"--keep 99":                          "plans",
		"--lb none":                          "velocity",
		"--regions 3":                        "1 or 2",
		"--client 2030":                      "since-2026",
		"--failure shrug":                    "servfail",
		"--evacuate 25:00":                   "--evacuate",
		"--runbook nobody":                   "day, early, none",
		"--runbook late.toml":                "17:00",
		"--runbook unknown.toml":             "pray",
		"--runbook missing.toml":             "missing.toml",
		"--partitions 0":                     "partitions",
		"--partitions 5000":                  "partitions",
		"--leases 3":                         "partitions",
		"--seeds 2":                          "--counterfactuals",
		"--counterfactuals --queue deadline": "leave out",
		"--engine real":                      "incident-live",
		"--duration 1h":                      "15:00",
		"--set timeout=100ms":                "timeout",
		"--set pause=1s --set pause_at=1s":   "pause",
		"nothing.toml":                       "nothing.toml",
		"explore --dns-mend hope":            "nonempty-guard",
		"explore --plans 0":                  "plans",
		"explore --endpoints 7":              "endpoints",
		"explore --trials 5":                 "--chance",
		"explore --chance --plans 4":         "--plans",
		"explore --chance --trials 0":        "--trials",
		"explore --clean-up none":            "apply-emptied",
		"explore something":                  "something",
	} {
		status, stdout, stderr := call(t, append([]string{"incident"}, strings.Fields(args)...)...)
		if status != exitUsage || !strings.Contains(stderr, want) || stdout != "" {
			t.Errorf("incident %s: status %d, %q, want %q", args, status, stderr, want)
		}
	}
	if left, err := os.ReadDir("."); err != nil || len(left) != 2 {
		t.Errorf("what is refused leaves %v, %v", left, err)
	}
}

// A table of counterfactuals that is interrupted goes on, with the replays that it has.
func TestCounterfactualsGoOn(t *testing.T) {
	if testing.Short() {
		t.Skip("replays the day a hundred times")
	}
	t.Chdir(t.TempDir())
	if status, _, stderr := call(t, "incident", "--counterfactuals", "--leases", "100", "--partitions", "1", "--seed", "5", "--out", "c"); status != exitOK {
		t.Fatal(stderr)
	}
	table := jsonIn(t, "c")
	runs, err := os.ReadFile("c/runs.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	rows := strings.SplitAfter(string(runs), "\n")
	if len(rows) < 20 {
		t.Fatalf("%d replays are kept", len(rows))
	}
	if err := os.WriteFile("c/runs.jsonl", []byte(strings.Join(rows[:len(rows)/2], "")+rows[len(rows)/2][:5]), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, _, stderr := call(t, "incident", "--resume", "c"); status != exitOK {
		t.Fatal(stderr)
	}
	again, err := os.ReadFile("c/runs.jsonl")
	if err != nil || string(again) != string(runs) || jsonIn(t, "c") != table {
		t.Errorf("another table, %v", err)
	}
	if status, _, stderr := call(t, "incident", "--resume", "c", "--counterfactuals"); status != exitUsage || !strings.Contains(stderr, "leave out --counterfactuals") {
		t.Errorf("status %d, %s", status, stderr)
	}
	if status, _, stderr := call(t, "incident", "--resume", t.TempDir()); status != exitFailed || !strings.Contains(stderr, "not a counterfactuals table's folder") {
		t.Errorf("status %d, %s", status, stderr)
	}
}
