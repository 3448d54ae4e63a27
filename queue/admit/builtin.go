package admit

import "github.com/leasestorm/leasestorm/queue/catalog"

var (
	controllers = []catalog.Entry[New]{noneEntry, tokenBucketEntry, throttleEntry, concurrencyEntry, backlogEntry, gradient2Entry, limitEntry, vegasEntry,
		codelAdmitEntry, bbrEntry, dagorEntry, breakerEntry, slowStartEntry, creditsEntry, envoyAdmissionEntry, partitionsEntry, predictedWaitEntry, cinnamonEntry, envoyGradientEntry}
	retries = []catalog.Entry[NewRetry]{immediateEntry, fixedEntry, backoffEntry, decorrelatedEntry, retryAfterEntry, budgetEntry, adaptiveEntry, clientBreakerEntry,
		awsSDKEntry, mongodbEntry, finagleEntry, linkerdEntry, envoyBudgetEntry, grpcPushbackEntry}
	estimators = []catalog.Entry[NewEstimator]{silentEntry, constantEntry, drainEntry, rateEntry, dropsEntry, appointmentsEntry}
)
