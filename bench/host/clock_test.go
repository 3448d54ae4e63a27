package host

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Both clocks go forward, and with the wall (loosely: a test must not depend on the host).
func TestClock(t *testing.T) {
	for _, rate := range []uint64{0, tscRate()} {
		c := newClock(rate)
		last := time.Duration(0)
		for range 100_000 {
			now := c.Now()
			if now < last {
				t.Fatalf("%s: %v after %v", c.Source(), now, last)
			}
			last = now
		}
		if last <= 0 || c.Start().IsZero() {
			t.Errorf("%s: %v since %v", c.Source(), last, c.Start())
		}
		t.Logf("%s: drift %.1f ppm", c.Source(), c.Drift())
	}
}

func TestTrustTSC(t *testing.T) {
	for _, tt := range []struct {
		source, flags string
		want          bool
	}{
		{"tsc", "flags : constant_tsc nonstop_tsc", true}, {"kvm-clock", "flags : constant_tsc nonstop_tsc", false},
		{"tsc", "flags : constant_tsc", false}, {"", "", false},
	} {
		root := t.TempDir()
		for name, text := range map[string]string{"sys/devices/system/clocksource/clocksource0/current_clocksource": tt.source, "proc/cpuinfo": tt.flags} {
			path := filepath.Join(root, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got := trustTSC(root); got != tt.want {
			t.Errorf("%+v: trusted %v", tt, got)
		}
	}
}

func BenchmarkClock(b *testing.B) {
	for _, rate := range []uint64{0, tscRate()} {
		c := newClock(rate)
		b.Run(c.Source(), func(b *testing.B) {
			for b.Loop() {
				c.Now()
			}
		})
	}
}
