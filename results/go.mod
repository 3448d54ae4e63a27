// The published figures and what they were drawn from: 24 MB. A module of its own, so that
// nobody who imports leasestorm downloads them.
module github.com/leasestorm/leasestorm/results

go 1.26.0
