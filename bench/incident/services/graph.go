// Package services is the graph of the services that the replayed outage reached, and a machine
// that says which of them are up.
//
// What is public: AWS's summary names about twenty services, what each of them missed, and when.
// These services and needs are marked public. The public dashboard had about 140 services; how the
// others hang together is not public. So the rest of the graph is generated from the seed, has no
// real names, and is marked generated.
//
// What is estimated: which needs are hard, how long a service goes on without a need, how long it
// takes to return, which needs a last known answer can replace, and all circles. The real circles
// of dependencies ("dogfooding") are known to exist and have not been published.
package services

import (
	"fmt"
	"slices"
	"time"
)

// Need is one dependency of a service.
type Need struct {
	On     int  // index of the service that is needed
	Hard   bool // without it the service is down; without a soft one it is degraded
	Start  bool // of a hard need: the service cannot start without it. Else it starts degraded
	Data   bool // of a hard need: a last known answer can replace it (the data plane's needs)
	Public bool // the need is named in AWS's summary; else it is generated
	circle bool // the need closes a circle
}

// Service is one service of the graph.
type Service struct {
	Name   string
	Layer  int  // above the layers of all it needs, circles apart
	Public bool // named in AWS's summary; else generated
	Base   bool // its state is an input of the replay: DynamoDB, EC2, NLB
	Inner  bool // it reaches DynamoDB as an internal caller, for whom the name was mended first
	Global bool // its clients cannot go to another region
	Needs  []Need

	Patience time.Duration // how long the service goes on without a hard need
	Recovery time.Duration // from the return of what it needs to its own
	// Hand is the time from the return of what it needs until a hand restores it. 0: it returns
	// by itself.
	Hand time.Duration
}

// Circle is a group of services that need each other.
type Circle struct {
	Members []int
	Hand    time.Duration // from the moment at which only the circle itself is in the way
}

// Graph is a graph of services. A service stands behind all that it needs, circles apart.
type Graph struct {
	Services []Service
	Circles  []Circle
}

// The three services whose states are inputs are the first of every graph.
const (
	DynamoDB = iota
	EC2
	NLB
	bases
)

// public are the services and needs that AWS's summary names. A name in need with "!" at its end is
// a hard need. The summary says what failed; hard and soft are read from it and are inferred.
var public = []struct {
	name     string
	need     []string
	inner    bool
	global   bool
	recovery time.Duration // 0: drawn; else calibrated to the public time of return
	hand     time.Duration
}{
	{name: "dynamodb"},
	{name: "ec2", need: []string{"dynamodb!"}},
	{name: "nlb", need: []string{"ec2"}},
	{name: "iam", need: []string{"dynamodb!"}, inner: true, global: true, recovery: 10 * time.Minute}, // 01:15 to 01:25
	{name: "account-metadata", need: []string{"dynamodb!"}},                                           // of Support
	{name: "sqs", need: []string{"dynamodb"}},
	{name: "sign-in", need: []string{"iam!"}, global: true, recovery: time.Minute},
	{name: "iam-identity-center", need: []string{"iam!"}},
	{name: "ecs", need: []string{"ec2!"}, recovery: 10 * time.Minute},
	{name: "eks", need: []string{"ec2!"}, recovery: 30 * time.Minute}, // 13:50 to 14:20
	{name: "outposts", need: []string{"ec2!", "dynamodb"}},
	{name: "support", need: []string{"account-metadata!"}, global: true},
	{name: "redshift", need: []string{"dynamodb!", "ec2", "iam"}},
	{name: "dynamodb-global-tables", need: []string{"dynamodb!"}, recovery: 7 * time.Minute},   // 02:25 to 02:32
	{name: "sts", need: []string{"dynamodb!", "nlb!"}, inner: true, recovery: 4 * time.Minute}, // 01:15 to 01:19
	{name: "lambda", need: []string{"dynamodb!", "sts", "nlb!", "ec2"}},
	{name: "fargate", need: []string{"ecs!", "ec2!"}, recovery: 20 * time.Minute},
	{name: "lambda-sqs-pollers", need: []string{"lambda!", "sqs"}, hand: 2*time.Hour + 15*time.Minute}, // 02:25 to 04:40
	{name: "connect", need: []string{"dynamodb!", "lambda", "nlb!"}},
	{name: "managed-airflow", need: []string{"fargate!", "dynamodb!", "lambda"}},
}

// Least is the least number of services of a graph: those that are public.
var Least = len(public)

// Most is the largest number of services of a graph.
const Most = 10000

func checkCount(n int) error {
	if n < Least || n > Most {
		return fmt.Errorf("services: %d services: want %d, those that AWS's summary names, to %d", n, Least, Most)
	}
	return nil
}

// find returns the index of the service of the given name, or -1.
func (g *Graph) find(name string) int {
	return slices.IndexFunc(g.Services, func(s Service) bool { return s.Name == name })
}

// findCircles sets the graph's circles: its strongly connected components of two or more services,
// by Tarjan's algorithm. It marks the needs inside them.
func (g *Graph) findCircles() {
	n := len(g.Services)
	index, low, on := make([]int, n), make([]int, n), make([]bool, n)
	var stack []int
	next := 0
	var visit func(v int)
	visit = func(v int) {
		next++
		index[v], low[v], on[v] = next, next, true
		stack = append(stack, v)
		for _, need := range g.Services[v].Needs {
			switch w := need.On; {
			case index[w] == 0:
				visit(w)
				low[v] = min(low[v], low[w])
			case on[w]:
				low[v] = min(low[v], index[w])
			}
		}
		if low[v] != index[v] {
			return
		}
		at := slices.Index(stack, v)
		members := slices.Sorted(slices.Values(stack[at:]))
		stack = stack[:at]
		for _, w := range members {
			on[w] = false
		}
		if len(members) > 1 {
			g.Circles = append(g.Circles, Circle{Members: members})
		}
	}
	g.Circles = nil
	for v := range n {
		if index[v] == 0 {
			visit(v)
		}
	}
	slices.SortFunc(g.Circles, func(a, b Circle) int { return slices.Compare(a.Members, b.Members) })
	for _, c := range g.Circles {
		for _, v := range c.Members {
			for i := range g.Services[v].Needs {
				need := &g.Services[v].Needs[i]
				need.circle = slices.Contains(c.Members, need.On)
			}
		}
	}
}
