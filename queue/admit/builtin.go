package admit

import "github.com/leasestorm/leasestorm/queue/catalog"

var (
	controllers = []catalog.Entry[New]{noneEntry, tokenBucketEntry, throttleEntry, concurrencyEntry, backlogEntry, gradient2Entry, limitEntry, vegasEntry,
		codelAdmitEntry, bbrEntry, dagorEntry, breakerEntry, slowStartEntry, creditsEntry}
	retries = []catalog.Entry[NewRetry]{immediateEntry, fixedEntry, backoffEntry, decorrelatedEntry, retryAfterEntry, budgetEntry, adaptiveEntry, clientBreakerEntry}
)
