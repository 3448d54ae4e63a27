package admit

import (
	"errors"
	"testing"

	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/catalog"
)

// A class keeps its share when another has taken the whole limit, and no more than that: 17 are
// inside at a limit of 10. Below the limit a class may take what it wants.
func TestPartitions(t *testing.T) {
	type step struct {
		class queue.Class
		n     int // asked for; negative: that many end
		want  int // admitted
	}
	const c, e, l = queue.Check, queue.Establish, queue.Launch
	for ref, steps := range map[string][]step{
		"partitions:limit=10,check=0.3,launch=0,establish=0.7": {
			{c, 11, 10}, {e, 9, 7}, // 17 inside
			{c, 1, 0}, {l, 1, 0}, {e, 1, 0},
			{c, -8, 0}, {c, 9, 1}, // 9 inside: one more up to the limit, and then 3 are its share
			{c, -3, 0}, {l, 4, 3}, {e, 1, 0},
			{e, -7, 0}, {c, 20, 7}, {l, 1, 0}, {e, 20, 7},
		},
		"partitions:limit=1,check=0.01,launch=0.01,establish=0.9": {
			{e, 9, 1}, {c, 9, 1}, {l, 9, 1}, // at least one each
		},
		"partitions:limit=7,check=0.5,launch=0.1,establish=0.4": {
			{e, 9, 7}, {c, 9, 4}, {l, 9, 1}, // rounded up
		},
	} {
		p := make1(t, ref, testConfig)
		for i, s := range steps {
			if s.n < 0 {
				for range -s.n {
					p.Done(0, &queue.Item{Class: s.class}, 0, queue.Good)
				}
			} else if n, _ := door(p, 0, s.class, 0, s.n, 0); n != s.want {
				t.Errorf("%s, step %d: %d of %d %ss admitted, want %d", ref, i, n, s.n, s.class, s.want)
			}
		}
	}
	if _, err := Make("partitions:check=0.6", testConfig); !errors.Is(err, catalog.ErrParam) {
		t.Errorf("shares of 0.6, 0.1 and 0.5: %v, want a refusal", err)
	}
}
