//go:build !race && !purego

package fleet

// prefetch brings n > 0 droplets into the cache, but nobody.
//
//go:noescape
func prefetch(first *droplet, ids *uint32, n int)

// The routine knows the size of a droplet.
var _ = [1]struct{}{}[BytesPerDroplet-32]

func (f *Fleet) prefetch(ids []uint32) { prefetch(&f.droplets[0], &ids[0], len(ids)) }
