package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/leasestorm/leasestorm/bench/host"
)

// waitForQuiet waits until the processors of the run are quiet, as long as the options say. It
// returns nil if it is not to look.
func waitForQuiet(ctx context.Context, place host.Placement, o *Options) (*host.QuietReport, error) {
	if o.Wait <= 0 {
		return nil, nil //nolint:nilnil // nobody looked
	}
	tell := o.Waiting
	if tell == nil {
		tell = func(text string) { o.Say("%s", text) }
	}
	last, said := "", o.Wait
	report, err := host.WaitForQuiet(ctx, host.WaitOptions{Need: place.Need(), Most: o.Wait, Progress: func(d host.Disturbance, left time.Duration) {
		// It asks every second, and the shares change each time.
		if d.By != last || said-left >= 10*time.Second {
			last, said = d.By, left
			tell(fmt.Sprintf("waiting for a quiet host: %s; %v left", d.Reason, left.Round(time.Second)))
		}
	}})
	return &report, err
}

// disturbed notes what other processes took of the run's processors, before it and while it ran.
func (res *Result) disturbed(before *host.QuietReport, d host.Disturbance) {
	res.Quiet = before
	if before != nil && before.Judged && !before.Quiet {
		res.Noisy = append(res.Noisy, "before the run: "+before.Reason)
	}
	taken := (d.Others + d.Steal) * d.Watched
	if d.Reason == "" || taken < 0.1 {
		return
	}
	text := fmt.Sprintf("%.1f s of CPU went to others", taken)
	if d.By != "" {
		text += ", most of it to " + d.By
	}
	res.Noisy = append(res.Noisy, text)
	if !res.Valid {
		res.Because += "; " + text
	}
}
