package engine

import (
	"crypto/sha256"
	"hash"
)

// blockBytes is the block size of SHA-256, the unit of work.
const blockBytes = 64

// labourer does the work of services. It hashes a record that begins with the droplet's number
// and fits in the core's private cache.
type labourer struct {
	h      hash.Hash
	record [256 * blockBytes]byte
	sum    [sha256.Size]byte
}

func newLabourer() *labourer {
	l := &labourer{h: sha256.New()}
	for i := range l.record {
		l.record[i] = byte(i * 7)
	}
	return l
}

// work hashes the given number of blocks, at least one.
func (l *labourer) work(droplet uint32, blocks int) {
	l.h.Reset()
	l.record[0], l.record[1], l.record[2], l.record[3] = byte(droplet), byte(droplet>>8), byte(droplet>>16), byte(droplet>>24)
	for n := blocks * blockBytes; n > 0; n -= len(l.record) {
		l.h.Write(l.record[:min(n, len(l.record))])
	}
	l.h.Sum(l.sum[:0])
}
