package admit

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// highest is a source of the largest random numbers: U(0,1) is 1 − 2^-53, and what is drawn from
// 0 to n is n.
type highest struct{}

func (highest) Uint64() uint64 { return 1<<64 - 1 }

var atMost = rand.New(highest{})

// play lets one droplet's attempts end as the words say, and returns the waits in ms; "up" is a
// pause. A word is good, late, refused or error, with :D where the manager said D. Droplet 0 asks
// unless a word begins with another's number, as in "7/late".
func play(t *testing.T, r Retry, words string) string {
	t.Helper()
	const timeout = time.Second
	tries := map[uint32]int{}
	prev := map[uint32]time.Duration{}
	var waits []string
	now := time.Duration(0)
	for _, word := range strings.Fields(words) {
		var i uint32
		if n, rest, ok := strings.Cut(word, "/"); ok {
			if _, err := fmt.Sscan(n, &i); err != nil {
				t.Fatal(err)
			}
			word = rest
		}
		word, said, _ := strings.Cut(word, ":")
		f := Failure{Tries: tries[i] + 1, Prev: prev[i], Timeout: timeout, Now: now, Droplet: i}
		switch word {
		case "good":
			r.(Learner).Good(now, i)
			tries[i], prev[i] = 0, 0
			continue
		case "late":
		case "refused":
			f.Why = Refused
		case "error":
			f.Why = Errored
		default:
			t.Fatalf("no such end: %q", word)
		}
		if said != "" {
			d, err := time.ParseDuration(said)
			if err != nil {
				t.Fatal(err)
			}
			f.After = d
		}
		wait := r.Wait(f, atMost)
		tries[i], prev[i] = f.Tries, wait
		if wait > 100*time.Second { // the pause of these tests: 1000 timeouts and more
			waits = append(waits, "up")
		} else {
			waits = append(waits, fmt.Sprint(wait.Round(time.Microsecond).Milliseconds()))
		}
		now += wait + timeout
	}
	return strings.Join(waits, " ")
}

// What an SDK's tests say of its waits and tokens (retry2026_test.go), with U = 1.
func TestAWSSDK(t *testing.T) {
	const many = " late late late late late late late late late late"
	for _, tt := range []struct {
		name, params, ends, waits string
		tokens                    int32 // left in the bucket of droplet 0
	}{
		{"500, 500", "", "error error", "50 100", 472},
		{"500, 500, 200", "", "error error good", "50 100", 486},
		{"200", "tokens=30", "good", "", 30},
		{"first attempts fill it", "tokens=30", "error late late good good", "50 100 up", 4},
		{"three attempts", "", "error error error", "50 100 up", 472},
		{"five attempts", "attempts=5", "error error error error good", "50 100 200 400", 458},
		{"base of DynamoDB", "attempts=4,base=25ms", "error error error error", "25 50 100 up", 458},
		{"cap before the jitter", "attempts=13,base=10s", "error error error", "10000 20000 20000", 458},
		{"bucket of 20", "tokens=20", "error error", "50 up", 6},
		{"throttled", "", "refused", "1000", 495},
		{"throttled, then good", "", "refused good", "1000", 500},
		{"header 1500", "", "error:1500ms", "1500", 486},
		{"header 0", "", "error:0s", "50", 486},
		{"header 10000", "", "error:10s", "5050", 486},
		{"header of a throttle", "", "refused:1ms refused:10s", "1000 7000", 490},
		{"before", "before=1,attempts=7", "error error error error error error error", "2000 4000 8000 16000 20000 20000 up", 470},
		{"before, time-outs", "before=1", "late late good", "2000 4000", 490},
		{"before, no hint", "before=1", "refused:9s", "2000", 495},
		// 500/14: 35 retries of a client in a total outage.
		{"35 retries", "attempts=254", strings.Repeat(many, 4), "50 100 200 400 800 1600 3200 6400 12800" + strings.Repeat(" 20000", 26) + strings.Repeat(" up", 5), 10},
		{"a shared bucket", "tokens=28,clients=5", "late 5/late 10/late 1/late", "50 50 up 50", 0},
		{"a bucket each", "tokens=14", "late late 5/late", "50 up 50", 0},
	} {
		r := retry(t, strings.TrimSuffix("aws-sdk:pause=1000,"+tt.params, ","), time.Second)
		if got := play(t, r, tt.ends); got != tt.waits {
			t.Errorf("%s: waits %s\nwant %s", tt.name, got, tt.waits)
		}
		if got := *r.(*awsSDK).bucket.of(0); got != tt.tokens {
			t.Errorf("%s: %d tokens, want %d", tt.name, got, tt.tokens)
		}
	}
}

// 14 good first attempts are worth one retry, whatever happens between.
func TestAWSSDKLongRun(t *testing.T) {
	r := retry(t, "aws-sdk:pause=1000,clients=1", time.Second).(*awsSDK)
	*r.bucket.of(0) = 0
	for i := range uint32(14 * 50) {
		if want := i%14 == 0 && i > 0; (r.Wait(Failure{Tries: 1, Droplet: 1000 + i}, atMost) < time.Minute) != want {
			t.Fatalf("after %d good answers: retried %v, want %v", i, !want, want)
		}
		r.Good(0, i)
	}
}

// The waits of the specification with U = 1, and how many there are.
func TestMongoDB(t *testing.T) {
	for _, tt := range []struct{ name, params, ends, waits string }{
		{"refused", "", "refused refused refused", "200 400 up"},
		{"again after it gave up", "", "refused refused refused refused", "200 400 up 200"},
		{"good ends a request", "", "refused good refused refused refused", "200 200 400 up"},
		{"the manager's base", "", "refused:30ms refused:700ms", "60 2800"},
		{"capped", "", "refused:9s refused:1h", "10000 10000"},
		{"four", "retries=4,cap=1s", "refused refused refused refused refused", "200 400 800 1000 up"},
		{"none", "retries=0", "refused", "up"},
		{"other errors", "", "late late", "0 up"},
		{"an error, then refused", "", "error refused refused", "0 400 up"},
		{"refused, then another", "", "refused late late", "200 0 up"},
		{"no retry for refusals, one for others", "retries=0", "late refused", "0 up"},
		// From the first attempt on: a refusal at 0, one at 1.2 s, whose wait ends at 1.6 s.
		{"deadline", "deadline=1.6", "refused refused", "200 400"},
		{"past the deadline", "deadline=1.59", "refused refused", "200 up"},
		{"a time-out past the deadline", "deadline=0.9", "late", "up"},
		{"droplets apart", "", "refused 1/refused refused 1/refused", "200 200 400 400"},
	} {
		r := retry(t, strings.TrimSuffix("mongodb:pause=1000,"+tt.params, ","), time.Second)
		if got := play(t, r, tt.ends); got != tt.waits {
			t.Errorf("%s: waits %s\nwant %s", tt.name, got, tt.waits)
		}
	}
}

// The wait is U(0, 200) and U(0, 400) ms: its mean is half of it.
func TestMongoDBJitter(t *testing.T) {
	r := retry(t, "mongodb", time.Second)
	rng := rand.New(rand.NewPCG(1, 2))
	const n = 20_000
	var sum [2]float64
	for i := range uint32(n) {
		for k := range sum {
			sum[k] += r.Wait(Failure{Tries: k + 1, Timeout: time.Second, Droplet: i, Why: Refused}, rng).Seconds() / n
		}
	}
	for k, want := range []float64{0.1, 0.2} { // standard errors 0.4 and 0.8 ms
		if d := sum[k] - want; d > 0.005 || d < -0.005 {
			t.Errorf("retry %d: a mean of %.4f s, want %.1f s", k+1, sum[k], want)
		}
	}
}
