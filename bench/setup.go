package bench

import (
	"cmp"
	"fmt"
	"time"

	"github.com/leasestorm/leasestorm/bench/engine"
	"github.com/leasestorm/leasestorm/bench/record"
	"github.com/leasestorm/leasestorm/bench/scenario"
)

// What every Runner of this package does around its engine: lay the run out, claim memory and
// folder, and, once the engine has the services, make the run and carry it out.

// layOut lays a run out as its options say.
func layOut(s scenario.Scenario, o Options, shortest time.Duration) (*experiment, error) {
	o.Seed = DrawSeed(o.Seed)
	x, err := newExperiment(s, o.Seed, shortest)
	if err != nil {
		return nil, err
	}
	if x.how = o; o.Runbook != nil {
		for _, step := range o.Runbook.Steps {
			if step.Do == "exec" && o.Target == nil {
				return nil, scenario.Bad("runbook", fmt.Sprintf("exec %q: it acts on a service of yours: --engine target --target URL", step.To))
			}
		}
		err = x.play(*o.Runbook)
	}
	if o.Part != nil && o.Folder != "" {
		panic("bench: a part of a longer replay has no folder of its own")
	}
	return x, err
}

// begin claims memory and the folder of the run's files; real says that a calibration needs a
// manager of its own. Whoever has begun calls abandon in the end.
func (x *experiment) begin(real bool) (err error) {
	x.virtual = !real
	if x.release, err = x.reserve(memory, real); err != nil {
		return err
	}
	if x.how.Folder != "" {
		if x.folder, err = record.Create(x.how.Folder); err != nil {
			x.release()
		}
	}
	return err
}

// abandon gives up what was claimed and not finished.
func (x *experiment) abandon() {
	x.release()
	x.closeTables()
	if x.folder != nil {
		x.folder.Abandon()
	}
}

// run makes the run with these services, lets drive carry it out, and puts the result together.
func (x *experiment) run(service engine.Service, drive func(*engine.Plan) (engine.Result, error)) (*Result, *engine.Plan, *Judge, error) {
	p, judge, err := x.plan(service, x.how.MaxQueue)
	if err != nil {
		return nil, nil, nil, err
	}
	x.release()
	guard := &memoryGuard{b: memory, watch: p.Watch, step: p.Log.Step, next: memoryStep}
	p.Watch = guard.Watch
	run, err := drive(p)
	if err = cmp.Or(err, guard.err); err != nil {
		return nil, nil, nil, err
	}
	if part := x.how.Part; part != nil && part.Done != nil {
		part.Done(p.Log)
	}
	res, err := x.result(run, p, judge, service)
	return res, p, judge, err
}
