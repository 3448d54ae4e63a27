//go:build !amd64 || race || purego

package fleet

// prefetch brings droplets into the cache, but nobody, by loads.
func (f *Fleet) prefetch(ids []uint32) {
	x := uint8(0)
	for _, i := range ids {
		if i != nobody {
			x |= f.droplets[i].tries
		}
	}
	f.touched = x
}
