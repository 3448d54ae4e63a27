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
		for seed := range uint64(12) {
			cause := []Cause{Lock, Slow}[seed%2]
			y := run(t, func(c *Config) { c.Seed, c.Mends, c.Cause = seed+1, tt.mend, cause })
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

// An enactor deletes no tree of a plan that is as new as its own, or newer, or one of the Keep before
// it, however late it is.
func TestCleanUp(t *testing.T) {
	for _, form := range Forms {
		for _, keep := range []int{0, 3, 10} {
			r := Rules{Endpoints: 1, Keep: keep, Form: form}
			for late := range uint16(Window - 4) {
				s := Begin(&r)
				for s.Newest < 200 {
					s.Plan()
				}
				own := s.Newest
				s.Enactor[0] = Enactor{Phase: Scan, Plan: own}
				for s.Newest < own+late {
					s.Plan()
				}
				s.Active[0], s.Applied[0], s.Trees[0] = s.Newest, s.Newest, ^uint64(0)
				s.Step(&r, 0)
				for s.Newest < own+Window-4 { // the planner goes on between scan and deletion
					s.Plan()
					s.Trees[0] |= bit(s.Newest)
				}
				s.Step(&r, 0)
				for plan := int(own) - keep; plan <= int(s.Newest); plan++ {
					if plan > int(s.Newest)-Window && (s.Trees[0]&bit(uint16(plan)) == 0 || s.Emptied&bit(uint16(plan)) != 0) {
						t.Errorf("%s, keep %d, %d plans late: the clean-up of plan %d has deleted plan %d", form, keep, late, own, plan)
					}
				}
			}
		}
	}
}

// Left to chance, a name is emptied only after a stale flip, and by the clean-up of a plan that is more
// than Keep newer than the one that was flipped to.
func TestDrawn(t *testing.T) {
	for _, cause := range []Cause{Lock, Slow} {
		raced := 0
		for seed := range uint64(100) {
			c := Default()
			c.Seed, c.RaceAt, c.Cause = seed+1, 0, cause
			y, err := New(c)
			if err != nil {
				t.Fatal(err)
			}
			y.Run(day, nil)
			for _, s := range y.Empties(day) {
				raced++
				active, _ := y.Record(s.From - 1)
				for _, e := range y.Events() {
					if e.At == s.From && e.Endpoint == 0 && e.Plan <= active+c.Keep && e.What == deleted {
						t.Errorf("%s, seed %d: at %v the clean-up of plan %d deletes the active plan %d", cause, seed+1, s.From, e.Plan, active)
					}
				}
			}
		}
		if raced == 0 {
			t.Errorf("%s: no race", cause)
		}
	}
}
