package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/leasestorm/leasestorm/cmd/leasestorm/cli"
)

// Status is how far a cluster's study is, and who is there.
type Status struct {
	Schema   int        `json:"schema"`
	Study    *progress  `json:"study"` // null: no study has begun
	Waiting  uint64     `json:"waiting"`
	InHand   int        `json:"in_hand"`
	Rate     *float64   `json:"cells_per_s"` // since the coordinator began; null: none is done
	TimeLeft *float64   `json:"time_left_s"` // of the cells that the study knows of
	Workers  []presence `json:"workers"`
	Agents   []card     `json:"agents"` // of storms
}

func statusCommand() *cobra.Command {
	var (
		s      secrets
		where  string
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "status",
		Short: "say who works in a cluster, how far its study is, and which agents wait for storms",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := s.linkOf(where)
			if err != nil {
				return cli.Usage(err)
			}
			st, err := readStatus(cmd.Context(), l)
			if err == nil {
				st.Agents, err = readAgents(cmd.Context(), l)
			}
			if err != nil {
				return err
			}
			if asJSON {
				e := json.NewEncoder(cmd.OutOrStdout())
				e.SetIndent("", "  ")
				return e.Encode(st)
			}
			_, err = io.WriteString(cmd.OutOrStdout(), st.Text())
			return err
		},
	}
	cmd.Flags().StringVar(&where, "cluster", "", "URL of the NATS server, or folder of a study on this host")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object on stdout")
	s.flags(cmd.Flags())
	return cmd
}

// readStatus asks the server.
func readStatus(ctx context.Context, l link) (st Status, err error) {
	st = Status{Schema: 1, Workers: []presence{}, Agents: []card{}}
	nc, js, err := l.connect("leasestorm status", false)
	if err != nil {
		return st, err
	}
	defer nc.Close()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	kv, err := js.KeyValue(ctx, studyBucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		return st, nil
	}
	if err != nil {
		return st, err
	}
	if e, err := kv.Get(ctx, "progress"); err == nil {
		if err := json.Unmarshal(e.Value(), &st.Study); err != nil {
			return st, err
		}
	}
	if stream, err := js.Stream(ctx, cellStream); err == nil {
		for info := range stream.ListConsumers(ctx).Info() {
			st.Waiting += info.NumPending
			st.InHand += info.NumAckPending
		}
	}
	if workers, err := js.KeyValue(ctx, workerBucket); err == nil {
		if err := readWorkers(ctx, workers, &st); err != nil {
			return st, err
		}
	}
	if p := st.Study; p != nil && p.Done > 0 {
		rate := float64(p.Done) / max(time.Since(p.Began).Seconds(), 1e-3)
		left := float64(max(0, p.Expected-p.Done-len(p.Aside))) / rate
		st.Rate, st.TimeLeft = &rate, &left
	}
	return st, nil
}

// readWorkers reads which workers are there: all, or it is an error.
func readWorkers(ctx context.Context, kv jetstream.KeyValue, st *Status) error {
	keys, err := kv.Keys(ctx)
	if ctx.Err() != nil {
		return ctx.Err() // then there are fewer keys, and no error
	}
	if errors.Is(err, jetstream.ErrNoKeysFound) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, key := range keys {
		e, err := kv.Get(ctx, key)
		if errors.Is(err, jetstream.ErrKeyNotFound) {
			continue // it went in between
		}
		if err != nil {
			return err
		}
		var p presence
		if err := json.Unmarshal(e.Value(), &p); err != nil {
			return err
		}
		st.Workers = append(st.Workers, p)
	}
	slices.SortFunc(st.Workers, func(a, b presence) int { return strings.Compare(a.Name, b.Name) })
	return nil
}

// readAgents asks which agents are there.
func readAgents(ctx context.Context, l link) ([]card, error) {
	nc, _, err := l.connect("leasestorm status", false)
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	return call(ctx, nc, time.Second/2)
}

// Text is the status for a person.
func (st *Status) Text() string {
	var b strings.Builder
	if p := st.Study; p == nil {
		b.WriteString("no study is on its way\n")
	} else {
		fmt.Fprintf(&b, "study %s, coordinator: process %d on %s, since %s\n", p.Folder, p.PID, p.Host, p.Began.Format(time.DateTime))
		fmt.Fprintf(&b, "cells: %d of %d done, %d in hand, %d wait, %d set aside\n", p.Done, p.Expected, st.InHand, st.Waiting, len(p.Aside))
		if st.Rate != nil {
			fmt.Fprintf(&b, "rate %.1f cells/s, about %v left\n", *st.Rate, time.Duration(*st.TimeLeft*float64(time.Second)).Round(time.Second))
		}
	}
	fmt.Fprintf(&b, "%d workers\n", len(st.Workers))
	for _, w := range st.Workers {
		note := ""
		if st.Study != nil && w.Build != st.Study.Build {
			note = "; of another version than the coordinator, which gives it no cells"
		}
		if w.Unfit {
			note += "; its host is of another class than the study's, and makes no runs of the real engine: " + w.Class
		}
		fmt.Fprintf(&b, "  process %d on %s: %d cells%s\n", w.PID, w.Host, w.Cells, note)
	}
	if len(st.Agents) > 0 {
		fmt.Fprintf(&b, "%d agents\n", len(st.Agents))
	}
	for _, a := range st.Agents {
		doing := "free"
		if a.Busy {
			doing = "plays a part of a storm"
		}
		fmt.Fprintf(&b, "  process %d on %s: %s\n", a.PID, a.Host, doing)
	}
	return b.String()
}
