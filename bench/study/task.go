package study

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/bench"
)

// Task is a piece of a study that is no run of a scenario, such as a queue that is compared with its closed
// form. What it returns follows from its input alone, so any process of the same version can do it.
type Task[In, Out any] struct {
	name string
	do   func(ctx context.Context, in In) (Out, error)
}

// ErrTask is returned, wrapped, for a task that this program does not have, or whose input it cannot read.
var ErrTask = errors.New("no such task")

// tasks do the tasks of this program, by name. They are complete once the program's variables are set.
var tasks = map[string]func(ctx context.Context, in []byte) ([]byte, error){}

// NewTask makes a task, for a variable of its package. do may be asked by another host: it runs no command and
// opens no file whose name its input gives. The input and what do returns are the same after a way through JSON.
func NewTask[In, Out any](name string, do func(ctx context.Context, in In) (Out, error)) Task[In, Out] {
	if tasks[name] != nil {
		panic("two tasks of the name " + name)
	}
	tasks[name] = func(ctx context.Context, text []byte) ([]byte, error) {
		var in In
		if err := json.Unmarshal(text, &in); err != nil {
			return nil, fmt.Errorf("%w: the input of %s: %w", ErrTask, name, err)
		}
		out, err := do(ctx, in)
		if err != nil {
			return nil, err
		}
		return json.Marshal(out)
	}
	return Task[In, Out]{name, do}
}

// DoTask does a task in this process for another one. in and the result are JSON.
func DoTask(ctx context.Context, name string, in []byte) ([]byte, error) {
	do := tasks[name]
	if do == nil {
		return nil, fmt.Errorf("%w: %q", ErrTask, name)
	}
	return do(ctx, in)
}

// Do does the task where the runner makes its runs.
func (t Task[In, Out]) Do(ctx context.Context, runner bench.Runner, in In) (out Out, err error) {
	w := wide(runner)
	if w == nil {
		return t.do(ctx, in)
	}
	text, err := json.Marshal(in)
	if err != nil {
		return out, err
	}
	if asked, ok := ctx.Value(askedKey{}).(*atomic.Int64); ok {
		asked.Inc()
	}
	answer, err := w.Do(ctx, t.name, text)
	if err == nil {
		err = json.Unmarshal(answer, &out)
	}
	return out, err
}

// IsWide reports whether the runner makes its runs in other processes.
func IsWide(runner bench.Runner) bool { return wide(runner) != nil }

// Each does n things, each of which asks for a task or a run. In this process here of them go on at a time.
// One that was set aside does not end the others; it is an error in the end.
func Each(ctx context.Context, runner bench.Runner, here, n int, do func(ctx context.Context, i int) error) error {
	if w := wide(runner); w != nil {
		here = w.AtOnce()
	}
	return each(ctx, runner, here, n, 1, do)
}

// InOrder is a function that a thing of [Each] calls when it is done, and that calls then for each of the things
// in their order as soon as those before it are done, for one at a time. The first error of then ends it.
func InOrder(n int, then func(i int) error) func(i int) error {
	var (
		mu     sync.Mutex
		done   = make([]bool, n)
		next   int
		failed error
	)
	return func(i int) error {
		mu.Lock()
		defer mu.Unlock()
		done[i] = true
		for ; failed == nil && next < n && done[next]; next++ {
			failed = then(next)
		}
		return failed
	}
}

// Kept returns the value of a key from the folder of a study, or makes it and keeps it there, so that a study
// that was interrupted does not make it again. Without a [Memory] it is made.
func Kept[T any](runner bench.Runner, key string, make func() (T, error)) (v T, err error) {
	m, ok := runner.(*Memory)
	if !ok {
		return make()
	}
	m.mu.Lock()
	text := slices.Clone(m.kept[key])
	m.mu.Unlock()
	if text != nil {
		return v, json.Unmarshal(text, &v)
	}
	if v, err = make(); err != nil || m.journal == nil {
		return v, err
	}
	if text, err = json.Marshal(v); err != nil {
		return v, err
	}
	m.mu.Lock()
	m.kept[key] = text
	m.mu.Unlock()
	return v, m.journal.append(line{Key: key, Kept: text}, false)
}
