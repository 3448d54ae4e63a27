package scenario

// MaxWorkers is the largest number of workers of a run.
const MaxWorkers = 4096

// MaxSeeds is the largest number of seeds over which a run is repeated.
const MaxSeeds = 10_000
