package huge

import (
	"testing"
	"unsafe"
)

func TestInner(t *testing.T) {
	room := make([]byte, 6*page)
	base := unsafe.Pointer(&room[-uintptr(unsafe.Pointer(&room[0]))&(page-1)])
	for _, c := range []struct{ at, n, from, bytes uintptr }{
		{0, page, 0, page}, {0, page - 1, 0, 0}, {0, 2*page + 5, 0, 2 * page}, {0, 0, 0, 0},
		{1, page, 0, 0}, {1, 2*page - 2, 0, 0}, {1, 2*page - 1, page, page}, {page - 8, 3 * page, page, 2 * page},
	} {
		got := inner(unsafe.Add(base, c.at), c.n)
		if uintptr(len(got)) != c.bytes || c.bytes > 0 && unsafe.Pointer(&got[0]) != unsafe.Add(base, c.from) {
			t.Errorf("%d bytes at %d: %d bytes, want %d from %d", c.n, c.at, len(got), c.bytes, c.from)
		}
	}
}

// What Make returns is as good as what make returns.
func TestMake(t *testing.T) {
	for _, n := range []int{0, 1, 1000, page} {
		s := Make[uint32](n)
		for i := range s {
			if s[i] != 0 {
				t.Fatalf("%d elements: element %d is %d", n, i, s[i])
			}
			s[i] = uint32(i)
		}
		if len(s) != n || cap(s) < n {
			t.Errorf("length %d, want %d", len(s), n)
		}
	}
}
