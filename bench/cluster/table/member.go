package table

import (
	"errors"
	"net/url"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
)

// quota is the size of the database at which etcd stops to write, in bytes. Leases take little of it.
const quota = 1 << 30

// startMember starts the only member of an etcd cluster.
func startMember(o order) (address string, stop func(), err error) {
	cfg := embed.NewConfig()
	cfg.Dir, cfg.LogLevel, cfg.LogOutputs = o.Dir, "fatal", []string{"stderr"}
	loopback := url.URL{Scheme: "http", Host: "127.0.0.1:0"}
	cfg.ListenClientUrls, cfg.ListenPeerUrls = []url.URL{loopback}, []url.URL{loopback}
	cfg.UnsafeNoFsync, cfg.QuotaBackendBytes = !o.Fsync, quota
	e, err := embed.StartEtcd(cfg)
	if err != nil {
		return "", nil, err
	}
	select {
	case <-e.Server.ReadyNotify():
		return e.Clients[0].Addr().String(), e.Close, nil
	case err = <-e.Err():
	case <-time.After(startTime):
		err = errors.New("etcd found no leader")
	}
	e.Close()
	return "", nil, err
}
