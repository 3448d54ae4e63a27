package queue

import "github.com/leasestorm/leasestorm/queue/catalog"

var builtin = []catalog.Entry[New]{
	fifoEntry, fifoLockFreeEntry, lifoEntry, lifoLockFreeEntry, boundedEntry, deadlineEntry, codelEntry,
}

var wrappers = []catalog.Entry[Wrap]{percoreEntry}
