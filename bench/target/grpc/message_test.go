package grpc

import (
	"strings"
	"testing"
	"time"

	"github.com/leasestorm/leasestorm/bench/client"
	"github.com/leasestorm/leasestorm/queue"
)

// A message that depends on the time is made anew for each attempt, in milliseconds that are left as in milliseconds
// of a deadline. One that depends on the droplet alone is made once for each.
func TestMessageOfTheTime(t *testing.T) {
	desc := messageOf(t, types(t), "lease.v1.Ask")
	for text, kept := range map[string]bool{
		`{{"name": "{left_ms}"}}`: false, `{{"deadline_ms": {deadline_ms}}}`: false, `{{"droplet": {droplet}, "name": "{class}"}}`: true,
	} {
		m, err := newMessage("request.body", text, queue.Check, desc)
		if err != nil {
			t.Fatal(err)
		}
		var made []string
		for _, left := range []time.Duration{-time.Hour, time.Hour, 2 * time.Hour} {
			out, err := m.bytes(&client.Attempt{Droplet: 7}, time.Now().Add(left))
			if err != nil {
				t.Fatal(err)
			}
			made = append(made, string(out))
		}
		if same := made[0] == made[1] && made[1] == made[2]; same != kept || made[1] == made[2] != kept {
			t.Errorf("%s: messages %q; the same for each deadline: %v, want %v", text, made, same, kept)
		}
		if text == `{{"name": "{left_ms}"}}` && (!strings.Contains(made[0], "\x010") || !strings.Contains(made[1], "\x073599") || !strings.Contains(made[2], "\x077199")) {
			t.Errorf("milliseconds that are left: %q, want 0, one hour and two", made)
		}
	}
}
