package cluster

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/spf13/pflag"
)

// noEffect refuses each flag of a study that is given and would do nothing. server is --cluster's value, local
// the number of local workers.
func noEffect(flags *pflag.FlagSet, server string, local int) (err error) {
	flags.VisitAll(func(f *pflag.Flag) { // Visit sees only what this set has parsed itself
		if !f.Changed {
			return
		}
		why := ""
		switch f.Name {
		case "cluster":
			if server == "" {
				why = "is empty: want the URL of a NATS server, or embed"
			}
		case "cluster-listen", "cluster-cert", "cluster-key":
			if server != embed {
				why = "goes with --cluster embed: it is of the embedded server"
			}
		case "cluster-ca", "cluster-clear":
			switch server {
			case "":
				why = "goes with --cluster URL"
			case embed:
				why = "goes with --cluster URL: the embedded server is known, and is of this study alone"
			}
		case "cell-limit":
			if server == "" || local == 0 {
				why = "goes with --cluster and --local-workers: a worker of another host has its own"
			}
		default:
			if server == "" {
				why = "goes with --cluster: without it this process makes the runs"
			}
		}
		if why != "" && err == nil {
			err = fmt.Errorf("--%s %s", f.Name, why)
		}
	})
	return err
}

// private refuses to send credentials in clear text to another host.
func (l *link) private() error {
	for one := range strings.SplitSeq(l.URL, ",") {
		u, err := url.Parse(strings.TrimSpace(one))
		if err != nil {
			return errors.New("--cluster is no URL: want nats://127.0.0.1:4222 or tls://nats.example.org:4222") // it may hold a password
		}
		if u.Scheme == "tls" || u.Scheme == "wss" || l.CA != "" || loopback(u.Hostname()) {
			continue
		}
		if l.Token != "" || l.Seed != "" || u.User != nil {
			return fmt.Errorf("--cluster %s: credentials would go to %s in clear text: want tls://", shown(strings.TrimSpace(one)), u.Host)
		}
	}
	return nil
}
