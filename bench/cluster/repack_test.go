package cluster

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"testing"
)

// repack gives file n, counted from 0, of what pack has made another name.
func repack(t *testing.T, packed []byte, n int, name string) []byte {
	t.Helper()
	compressed, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	to := gzip.NewWriter(&b)
	in, out := tar.NewReader(compressed), tar.NewWriter(to)
	for i := 0; ; i++ {
		head, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if i == n {
			head.Name = name
		}
		if err := out.WriteHeader(head); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(out, in); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(out.Close(), to.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
