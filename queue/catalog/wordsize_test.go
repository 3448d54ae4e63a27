package catalog

import (
	"go/build"
	"slices"
	"testing"
)

// The file that ends the build is part of it where words have 32 bits, and nowhere else.
func TestWordSize(t *testing.T) {
	narrow := []string{"386", "arm", "mips", "mipsle"}
	wide := []string{"amd64", "arm64", "loong64", "mips64", "mips64le", "ppc64", "ppc64le", "riscv64", "s390x", "wasm"}
	for _, arch := range slices.Concat(narrow, wide) {
		ctx := build.Default
		ctx.GOARCH = arch
		ends, err := ctx.MatchFile(".", "wordsize_32.go")
		if err != nil || ends != slices.Contains(narrow, arch) {
			t.Errorf("%s: the build ends is %v, %v", arch, ends, err)
		}
	}
}
