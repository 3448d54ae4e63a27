package operator

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The replayed day runs from 23:30 PDT of 19 October 2025 to 15:00 PDT of 20 October.
const (
	Start  = 23*time.Hour + 30*time.Minute // time of day at which the replay begins
	Length = 15*time.Hour + 30*time.Minute // from Start to 15:00

	midnight = 24 * time.Hour
)

// Clock returns the PDT time of day of a replay time, as in "00:38": Clock(0) is "23:30". It
// rounds down to minutes.
func Clock(at time.Duration) string { return ClockSeconds(at)[:len("15:04")] }

// ClockSeconds is Clock with seconds, as in "00:38:00".
func ClockSeconds(at time.Duration) string {
	of := (Start + at) % midnight
	if of < 0 {
		of += midnight
	}
	return fmt.Sprintf("%02d:%02d:%02d", int(of/time.Hour), int(of/time.Minute)%60, int(of/time.Second)%60)
}

// At returns the replay time of a PDT time of day, as in "00:38" or "00:38:30". A time from 23:30
// on belongs to 19 October, any other to 20 October. It returns an error for a time outside the
// day.
func At(clock string) (time.Duration, error) {
	of, ok := timeOfDay(clock)
	if !ok {
		return 0, fmt.Errorf(`%q is not a time: want PDT hours and minutes, as in "00:38"`, clock)
	}
	if of < Start {
		of += midnight
	}
	if at := of - Start; at <= Length {
		return at, nil
	}
	return 0, fmt.Errorf("%s is outside the day: want 23:30 to 15:00, in PDT", clock)
}

// timeOfDay reads two digits of hours, minutes and, if given, seconds.
func timeOfDay(clock string) (of time.Duration, ok bool) {
	parts := strings.Split(clock, ":")
	if len(parts) < 2 || len(parts) > 3 {
		return 0, false
	}
	most, unit := 24, time.Hour
	for _, text := range parts {
		n, err := strconv.ParseUint(text, 10, 8)
		if err != nil || len(text) != 2 || int(n) >= most {
			return 0, false
		}
		of += time.Duration(n) * unit
		most, unit = 60, unit/60
	}
	return of, true
}
