package chunk

import (
	"testing"

	"pgregory.net/rapid"
)

func TestDeque(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var d Deque[[512]int32] // 16 a chunk
		var want []int32
		next := int32(0)
		t.Repeat(map[string]func(*rapid.T){
			"push": func(t *rapid.T) {
				for range rapid.IntRange(1, 40).Draw(t, "n") {
					next++
					d.PushBack([512]int32{next})
					want = append(want, next)
				}
			},
			"append": func(t *rapid.T) {
				xs := make([][512]int32, rapid.IntRange(0, 40).Draw(t, "n"))
				for i := range xs {
					next++
					xs[i][0] = next
					want = append(want, next)
				}
				d.Append(xs)
			},
			"front": func(t *rapid.T) {
				for range min(len(want), rapid.IntRange(1, 60).Draw(t, "n")) {
					if got := d.Front()[0]; got != want[0] {
						t.Fatalf("front: got %d, want %d", got, want[0])
					}
					d.DropFront()
					want = want[1:]
				}
			},
			"take": func(t *rapid.T) {
				dst := make([][512]int32, rapid.IntRange(0, 60).Draw(t, "n"))
				n := d.TakeFront(dst)
				if n != min(len(want), len(dst)) {
					t.Fatalf("took %d of %d into %d", n, len(want), len(dst))
				}
				for i, x := range dst[:n] {
					if x[0] != want[i] {
						t.Fatalf("item %d taken: got %d, want %d", i, x[0], want[i])
					}
				}
				want = want[n:]
			},
			"peek": func(t *rapid.T) {
				dst := make([][512]int32, rapid.IntRange(0, 60).Draw(t, "n"))
				n := d.Peek(dst)
				if n > min(len(want), len(dst)) || n == 0 && len(want) > 0 && len(dst) > 0 {
					t.Fatalf("peeked at %d of %d into %d", n, len(want), len(dst))
				}
				for i, x := range dst[:n] {
					if x[0] != want[i] {
						t.Fatalf("item %d ahead: got %d, want %d", i, x[0], want[i])
					}
				}
			},
			"back": func(t *rapid.T) {
				for range min(len(want), rapid.IntRange(1, 60).Draw(t, "n")) {
					last := want[len(want)-1]
					if got := d.Back()[0]; got != last {
						t.Fatalf("back: got %d, want %d", got, last)
					}
					d.DropBack()
					want = want[:len(want)-1]
				}
			},
			"": func(t *rapid.T) {
				if d.Len() != len(want) {
					t.Fatalf("%d items, want %d", d.Len(), len(want))
				}
			},
		})
	})
}
