package scenario

// MaxWorkers is how many workers a run may have.
const MaxWorkers = 4096

// MaxSeeds is over how many seeds a run may be repeated.
const MaxSeeds = 10_000
