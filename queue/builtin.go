package queue

import "github.com/leasestorm/leasestorm/queue/catalog"

var builtin = []catalog.Entry[New]{fifoEntry, lifoEntry, deadlineEntry}
