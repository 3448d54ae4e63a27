package study

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/internal/show"
	"github.com/leasestorm/leasestorm/bench/scenario"
	"github.com/leasestorm/leasestorm/queue"
)

// EnginePair is both engines at one scenario: what the real one says of the host, and the virtual one
// with the service times that were measured there.
type EnginePair struct {
	Scenario   string        `json:"scenario"`
	Contestant string        `json:"contestant"`
	Beta       float64       `json:"beta"`
	Real       bench.Verdict `json:"real"`
	Virtual    bench.Verdict `json:"virtual"`
	Agree      bool          `json:"agree"`
	TTR        [2]*float64   `json:"ttr_s"` // real, virtual
	Goodput    [2]float64    `json:"establishes_per_s"`
	WastedWork [2]float64    `json:"wasted_work"`
	TTROff     *float64      `json:"ttr_difference"` // virtual over real, less 1
	GoodputOff float64       `json:"goodput_difference"`
	Because    string        `json:"real_invalid_because,omitempty"`
	Noisy      []string      `json:"noisy,omitempty"`
}

// engineCells are what validate --engines compares.
var engineCells = []contestant{
	{"steady", nil}, {"surge-100", nil},
	surge("queue=fifo"), surge("queue=fifo", "broken=30000"), surge("queue=lifo"), surge("queue=deadline"), surge("queue=codel"),
	surge("queue=slack"), surge("queue=fifo", "admit=token-bucket", "retry=backoff"), {"rescue", nil},
}

// CompareEngines runs built-in scenarios on both engines; set, as of --set, changes them all.
func CompareEngines(ctx context.Context, o bench.Options, set []string, each func(EnginePair)) ([]EnginePair, error) {
	o.Seed = bench.DrawSeed(o.Seed)
	var all []EnginePair
	for _, c := range engineCells {
		s, err := scenario.Load(c.scenario)
		if err == nil {
			err = s.Set(append(append([]string(nil), c.set...), set...)...)
		}
		if err != nil {
			return all, err
		}
		real, err := bench.Real{}.Run(ctx, s, o)
		if err != nil {
			return all, err
		}
		sim := bench.Virtual{Services: real.Services}
		s.Workers = real.Workers
		for class := range queue.Classes {
			sim.Service[class] = time.Duration(math.Round(real.Service[class.String()] * 1e3))
		}
		virtual, err := sim.Run(ctx, s, o)
		if err != nil {
			return all, err
		}
		p := pairOf(real, virtual)
		p.Contestant = strings.Join(c.set, " ")
		if each != nil {
			each(p)
		}
		all = append(all, p)
	}
	return all, nil
}

func pairOf(real, virtual *bench.Result) EnginePair {
	p := EnginePair{
		Scenario: real.Scenario, Beta: real.Beta, Real: real.Verdict, Virtual: virtual.Verdict, Agree: real.Verdict == virtual.Verdict,
		TTR: [2]*float64{real.TTR, virtual.TTR}, WastedWork: [2]float64{*real.WastedWork, *virtual.WastedWork},
		Goodput: [2]float64{real.Goodput["establish"], virtual.Goodput["establish"]}, Because: real.Because, Noisy: real.Noisy,
	}
	if real.TTR != nil && virtual.TTR != nil && *real.TTR > 0 {
		off := *virtual.TTR / *real.TTR - 1
		p.TTROff = &off
	}
	if p.Goodput[0] > 0 {
		p.GoodputOff = p.Goodput[1]/p.Goodput[0] - 1
	}
	return p
}

// EnginesHead is the head of the table whose lines EnginePair.Text makes.
func EnginesHead() string {
	return fmt.Sprintf("%-46s %6s  %-21s %13s %8s %21s %8s %13s\n", "scenario", "β", "real / virtual", "TTR (s)", "", "establishes/s", "", "wasted work")
}

// Text is the pair as a line of a table.
func (p EnginePair) Text() string {
	mark := ""
	if !p.Agree {
		mark = "  DIFFER"
	}
	if p.Because != "" {
		mark = "  " + p.Because
	}
	return fmt.Sprintf("%-46s %6.2f  %-21s %6s /%6s %8s %9s /%9s %+7.1f%% %5.0f%% /%4.0f%%%s\n", p.Scenario+" "+p.Contestant, p.Beta,
		string(p.Real)+" / "+string(p.Virtual), show.Dash(p.TTR[0], "%.2f"), show.Dash(p.TTR[1], "%.2f"), show.Dash(percent(p.TTROff), "%+.1f%%"),
		show.Rate(p.Goodput[0]), show.Rate(p.Goodput[1]), 100*p.GoodputOff, 100*p.WastedWork[0], 100*p.WastedWork[1], mark)
}
