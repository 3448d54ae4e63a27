package queue

import "github.com/leasestorm/leasestorm/queue/catalog"

var builtin = []catalog.Entry[New]{
	fifoEntry, fifoLockFreeEntry, lifoEntry, lifoLockFreeEntry, boundedEntry, deadlineEntry, codelEntry, codelVitessEntry,
	adaptiveLifoEntry, controlledDelayEntry, edfEntry, pieEntry, slackEntry, randomEntry, apfEntry,
}

var wrappers = []catalog.Entry[Wrap]{percoreEntry, coalesceEntry, edfWrapper, fairEntry, priorityEntry, cancelEntry}
