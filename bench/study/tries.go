package study

import (
	"fmt"

	"github.com/leasestorm/leasestorm/bench"
)

// MaxRedo is the largest number of further tries of a run that the host spoilt.
const MaxRedo = 100

// tryFolder is the folder of a run's try, from 0.
func tryFolder(folder string, try int) string {
	if try == 0 {
		return folder
	}
	return fmt.Sprintf("%s-try%d", folder, try+1)
}

// settle is what the tries of a run come to, in the order in which they were made: the first valid
// one, or else the last. It says how many tries there were up to it, and why the others do not count.
func settle(tries []*bench.Result) *bench.Result {
	counts := tries[len(tries)-1]
	for k, res := range tries {
		if res.Valid {
			counts, tries = res, tries[:k+1]
			break
		}
	}
	if len(tries) == 1 {
		return counts
	}
	of := *counts
	of.Tries, of.Spoilt = len(tries), nil
	for _, res := range tries {
		if !res.Valid {
			of.Spoilt = append(of.Spoilt, res.Because)
		}
	}
	return &of
}
