package archive

import "github.com/leasestorm/leasestorm/bench/host"

// SpeedFile is the name of the file with the rows of "leasestorm bench speed".
const SpeedFile = "speed.json"

// SpeedRow is the throughput of a contestant at a number of goroutines.
type SpeedRow struct {
	Work       string  `json:"work"`
	Contestant string  `json:"contestant"`
	Goroutines int     `json:"goroutines"`
	Pinned     bool    `json:"pinned"`
	PerSecond  float64 `json:"per_second"`
	Low        float64 `json:"low"`
	High       float64 `json:"high"`
}

// SpeedLaw is the scalability law that was fitted to a contestant's rows: X(N) = λN/(1 + σ(N−1) +
// κN(N−1)), N. J. Gunther, Guerrilla Capacity Planning, 2007.
type SpeedLaw struct {
	Work       string     `json:"work"`
	Contestant string     `json:"contestant"`
	Pinned     bool       `json:"pinned"`
	Lambda     float64    `json:"lambda_per_second"`
	Sigma      float64    `json:"sigma"`
	Kappa      float64    `json:"kappa"`
	Peak       float64    `json:"peak_goroutines"`
	SigmaCI    [2]float64 `json:"sigma_95"`
	KappaCI    [2]float64 `json:"kappa_95"`
}

// At is the throughput of n goroutines, in operations per second.
func (l SpeedLaw) At(n float64) float64 {
	return l.Lambda * n / (1 + l.Sigma*(n-1) + l.Kappa*n*(n-1))
}

// Speed is the content of SpeedFile.
type Speed struct {
	Rows []SpeedRow `json:"rows"`
	Laws []SpeedLaw `json:"laws"`
	Host host.Info  `json:"host"`
}
