//go:build js && wasm

// Command wasm is package doctor for a browser: it sets the function
// cellwardenJudge(text), which returns the answer as JSON.
package main

import (
	"syscall/js"

	"cellwarden/agent/web/doctor"
)

func main() {
	js.Global().Set("cellwardenJudge", js.FuncOf(func(_ js.Value, args []js.Value) any {
		if len(args) != 1 || args[0].Type() != js.TypeString {
			return `{"cases":[],"error":"one text is wanted"}`
		}
		return string(doctor.Judge(args[0].String()))
	}))
	if ready := js.Global().Get("cellwardenReady"); ready.Type() == js.TypeFunction {
		ready.Invoke()
	}
	select {}
}
