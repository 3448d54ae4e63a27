package shield_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/leasestorm/leasestorm/queue/shield"
)

// Eight requests run at a time. Clients say in X-Request-Timeout how long they wait.
func ExampleHandler() {
	establish := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "granted") })

	gate, err := shield.New(shield.Config{Concurrency: 8, Timeout: 2 * time.Second})
	if err != nil {
		panic(err)
	}
	handler := shield.Handler(establish, gate, shield.HTTP{Timeout: shield.MillisHeader("X-Request-Timeout")})

	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, "/lease/17", nil))
	fmt.Println(answer.Code, answer.Body)
	// Output: 200 granted
}

// A client that keeps to a retry budget and to the server's Retry-After.
func ExampleClient() {
	transport, err := shield.NewClient(shield.ClientConfig{Retry: "retry-budget", Timeout: time.Second})
	if err != nil {
		panic(err)
	}
	_ = http.Client{Transport: transport}
	// Output:
}
