package dns

import (
	"testing"
	"time"
)

const day = 15 * time.Hour

func run(t *testing.T, change func(*Config)) *System {
	t.Helper()
	c := Default()
	c.Seed = 1
	change(&c)
	y, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	y.Run(day, []Hand{{At: 175 * time.Minute}, {At: 6 * time.Hour, Off: true}})
	return y
}

// The scripted race empties the name at its time, at every seed and in both forms; nobody but the
// operator can mend it.
func TestRace(t *testing.T) {
	for _, form := range Forms {
		for seed := range uint64(20) {
			y := run(t, func(c *Config) { c.Seed, c.Form = seed+1, form })
			all := y.Empties(day)
			if len(all) != 1 || all[0].From != 18*time.Minute || all[0].To != 175*time.Minute {
				t.Errorf("%s, seed %d: empty %v", form, seed+1, all)
				for _, e := range y.Events() {
					t.Log(e)
				}
			}
			if s := y.Slowness(17 * time.Minute); s < 10 {
				t.Errorf("%s, seed %d: before the race an enactor is %.1f times as slow as usual", form, seed+1, s)
			}
		}
	}
}

// What each mend makes of the same delay.
func TestMends(t *testing.T) {
	for _, tt := range []struct {
		mend  Mend
		empty bool
	}{
		{Fencing, false}, {Recheck, false}, {ActiveCheck, true}, {NonemptyGuard, false}, {OneLock, true}, {ActiveCheck | OneLock, true},
	} {
		for seed := range uint64(6) {
			y := run(t, func(c *Config) { c.Seed, c.Mends = seed+1, tt.mend })
			if all := y.Empties(day); (len(all) > 0) != tt.empty {
				t.Errorf("%s, seed %d: empty %v", tt.mend, seed+1, all)
				for _, e := range y.Events() {
					t.Log(e)
				}
			}
			if plan, records := y.Record(day); plan == 0 || records == 0 {
				t.Errorf("%s, seed %d: at the day's end the name has %d records of plan %d", tt.mend, seed+1, records, plan)
			}
		}
	}
}
