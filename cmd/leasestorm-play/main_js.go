// Command leasestorm-play is the playground's engine: WebAssembly that a web worker loads. It sets the
// global function desk(question, ask, tell, done), which passes its questions to package desk.
// 'leasestorm play' serves the page.
package main

import (
	"context"
	"syscall/js"

	"github.com/leasestorm/leasestorm/bench/play/desk"
)

func main() {
	js.Global().Set("desk", js.FuncOf(func(_ js.Value, args []js.Value) any {
		question, ask, tell, done := args[0].String(), []byte(args[1].String()), args[2], args[3]
		go func() {
			answer, err := desk.Answer(context.Background(), question, ask, func(progress []byte) { tell.Invoke(string(progress)) })
			if err != nil {
				done.Invoke(err.Error(), nil)
				return
			}
			done.Invoke(nil, string(answer))
		}()
		return nil
	}))
	select {} // the worker asks until it is terminated
}
