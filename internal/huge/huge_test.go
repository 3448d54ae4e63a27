package huge

import "testing"

func TestAround(t *testing.T) {
	for _, c := range []struct{ at, n, from, bytes uintptr }{
		{page, page, page, page}, {page, page + 1, page, 2 * page}, {page - 1, page, 0, 2 * page},
		{page + 8, page - 8, page, page}, {page + 8, 3 * page, page, 4 * page},
	} {
		if from, bytes := around(c.at, c.n); from != c.from || bytes != c.bytes {
			t.Errorf("%d bytes at %d: %d bytes from %d, want %d from %d", c.n, c.at, bytes, from, c.bytes, c.from)
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
