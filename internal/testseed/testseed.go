// Package testseed draws the seed of a random test, prints it, and takes it back.
package testseed

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
)

// Env is the environment variable that holds the seed of every random test of a run:
//
//	LEASESTORM_SEED=123 go test -run TestConformance ./queue
const Env = "LEASESTORM_SEED"

// Draw returns the seed that Env holds, or a random one. It logs the seed, so that a test that
// fails says how to repeat it.
func Draw(t testing.TB) uint64 {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv(Env); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("%s=%s is not a seed: give a whole number of up to 64 bits, as a failed test prints it", Env, text)
		}
	}
	t.Logf("%s=%d", Env, seed)
	return seed
}
