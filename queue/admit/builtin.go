package admit

import "github.com/leasestorm/leasestorm/queue/catalog"

var (
	controllers = []catalog.Entry[New]{noneEntry, tokenBucketEntry}
	retries     = []catalog.Entry[NewRetry]{immediateEntry, backoffEntry}
)
