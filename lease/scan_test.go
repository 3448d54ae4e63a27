package lease

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"go.uber.org/atomic"
	"pgregory.net/rapid"
)

// equal compares all forms on the same words.
func equal(t interface{ Fatalf(string, ...any) }, words []atomic.Uint64, now uint32) {
	least, want := scalar.do(words, now)
	for _, s := range scans[1:] {
		if l, got := s.do(words, now); l != least || got != want {
			t.Fatalf("%s at %d: least %d, due %x; scalar: %d, %x", s.name, now, l, got, least, want)
		}
	}
}

// All forms find the same, on words and times near each other and at the ends.
func TestScansAgree(t *testing.T) {
	t.Logf("forms: %d, fastest %s", len(scans), ScanForm())
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		now := rapid.SampledFrom([]uint32{0, 1, 2, 500, 1 << 31, 1<<31 + 1, maxTick, noDeadline}).Draw(t, "now")
		spread := rapid.SampledFrom([]uint32{1, 3, 1000, 1 << 31}).Draw(t, "spread")
		free := rapid.IntRange(0, 10).Draw(t, "free")
		words := make([]atomic.Uint64, blockWords)
		for i := range words {
			d := now - spread/2 + rng.Uint32N(spread)
			if rng.IntN(10) < free {
				d = 0
			}
			words[i].Store(packWord(rng.Uint32(), d))
		}
		equal(t, words, now)
	})
}

func FuzzScans(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 9, 9, 9, 9}, uint32(3))
	f.Fuzz(func(t *testing.T, text []byte, now uint32) {
		words := make([]atomic.Uint64, blockWords)
		for i := range words {
			var w [8]byte
			if len(text) > 0 {
				copy(w[:], text[i*8%len(text):])
			}
			words[i].Store(binary.LittleEndian.Uint64(w[:]))
		}
		equal(t, words, now)
	})
}

func BenchmarkScan(b *testing.B) {
	words := make([]atomic.Uint64, blockWords)
	for i := range words {
		words[i].Store(packWord(1, 1000+uint32(i)))
	}
	for _, s := range scans {
		b.Run(s.name, func(b *testing.B) {
			b.SetBytes(8 * blockWords)
			for b.Loop() {
				s.do(words, 900)
			}
		})
	}
}
