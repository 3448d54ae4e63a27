package services

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// MarshalJSON implements json.Marshaler: services by name, times in seconds.
func (g *Graph) MarshalJSON() ([]byte, error) {
	type need struct {
		On     string `json:"on"`
		Hard   bool   `json:"hard"`
		Start  bool   `json:"start"`
		Data   bool   `json:"data"`
		Circle bool   `json:"circle"`
		Source string `json:"source"`
	}
	type service struct {
		Name      string  `json:"name"`
		Layer     int     `json:"layer"`
		Source    string  `json:"source"`
		Base      bool    `json:"base"`
		Inner     bool    `json:"inner"`
		Global    bool    `json:"global"`
		PatienceS float64 `json:"patience_s"`
		RecoveryS float64 `json:"recovery_s"`
		HandS     float64 `json:"hand_s"`
		Needs     []need  `json:"needs"`
	}
	type ring struct {
		Services []string `json:"services"`
		HandS    float64  `json:"hand_s"`
	}
	out := struct {
		Services []service `json:"services"`
		Circles  []ring    `json:"circles"`
	}{[]service{}, []ring{}}
	for _, s := range g.Services {
		o := service{
			Name: s.Name, Layer: s.Layer, Source: source(s.Public), Base: s.Base, Inner: s.Inner, Global: s.Global,
			PatienceS: s.Patience.Seconds(), RecoveryS: s.Recovery.Seconds(), HandS: s.Hand.Seconds(), Needs: []need{},
		}
		for _, n := range s.Needs {
			o.Needs = append(o.Needs, need{g.Services[n.On].Name, n.Hard, n.Start, n.Data, n.circle, source(n.Public)})
		}
		out.Services = append(out.Services, o)
	}
	for _, c := range g.Circles {
		out.Circles = append(out.Circles, ring{g.names(c.Members), c.Hand.Seconds()})
	}
	return json.Marshal(out)
}

func source(public bool) string {
	if public {
		return "public"
	}
	return "generated"
}

func (g *Graph) names(of []int) []string {
	all := make([]string, len(of))
	for i, s := range of {
		all[i] = g.Services[s].Name
	}
	return all
}

// Text returns the graph as text, a line for each service: layer, name, source, and needs. A hard
// need has an exclamation mark, a generated one is in parentheses.
func (g *Graph) Text() string {
	var b strings.Builder
	for _, s := range g.Services {
		fmt.Fprintf(&b, "%d  %-22s %-9s", s.Layer, s.Name, source(s.Public))
		for _, n := range s.Needs {
			name := g.Services[n.On].Name
			if n.Hard {
				name += "!"
			}
			if !n.Public {
				name = "(" + name + ")"
			}
			b.WriteString(" " + name)
		}
		b.WriteString("\n")
	}
	for _, c := range g.Circles {
		fmt.Fprintf(&b, "circle: %s; by hand after %v\n", strings.Join(g.names(c.Members), ", "), c.Hand.Round(time.Minute))
	}
	return b.String()
}

// DOT returns the graph for Graphviz. Public services and needs are solid, generated ones are
// dashed; soft needs are grey and circles red.
func (g *Graph) DOT() string {
	var b strings.Builder
	b.WriteString("digraph services {\n  rankdir=BT;\n  node [shape=box, fontname=\"sans-serif\"];\n")
	style := map[bool]string{true: "solid", false: "dashed"}
	for _, s := range g.Services {
		fmt.Fprintf(&b, "  %q [style=%s];\n", s.Name, style[s.Public])
	}
	for _, s := range g.Services {
		for _, n := range s.Needs {
			colour := "grey60"
			if n.Hard {
				colour = "black"
			}
			if n.circle {
				colour = "red"
			}
			fmt.Fprintf(&b, "  %q -> %q [style=%s, color=%s];\n", s.Name, g.Services[n.On].Name, style[n.Public], colour)
		}
	}
	b.WriteString("}\n")
	return b.String()
}
