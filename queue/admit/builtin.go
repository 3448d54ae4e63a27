package admit

import "github.com/leasestorm/leasestorm/queue/catalog"

var (
	controllers = []catalog.Entry[New]{noneEntry, tokenBucketEntry, throttleEntry, concurrencyEntry}
	retries     = []catalog.Entry[NewRetry]{immediateEntry, backoffEntry}
)
