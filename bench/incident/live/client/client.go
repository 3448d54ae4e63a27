// Package client makes state checks through the real path: the AWS SDK's DynamoDB client, a
// name that only the harness's own server resolves, and pooled connections with a lifetime.
//
// A [Client] has one resolver, one cache and one connection, as Go's resolver would merge the
// look-ups of several in flight. A [Sample] has many clients and checks at a steady rate. What it
// sees stands for all droplets: see [Sample.Ask].
package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/bench/incident/dependency"
)

// Config is the configuration of a Client.
type Config struct {
	DNS string // address of the only name server, HOST:PORT
	// URL is the endpoint; its host is a name of that server.
	URL url.URL
	// Allowed are the addresses that a connection may go to. An answer of the name server with
	// another address is an error, so a client cannot reach a host that nobody named.
	Allowed []netip.Addr
	// TTL and NegativeTTL are how long a client remembers addresses, and that there are none. The
	// run's clock is compressed, and a zone's own TTLs are whole seconds.
	TTL, NegativeTTL time.Duration
	Lifetime         time.Duration // of a connection; 0: it lives as long as the client
	Age              time.Duration // of the first connection when it is made
	Timeout          time.Duration // of one call with its retries; 0: 2 s
	Table            string
	// Names is the cache of look-ups, which the clients of one host share; nil: the client has its own.
	Names *Names
	// Retries is the version of the SDK's retries; "": that of the SDK in use, which is since-2026.
	Retries dependency.Retries
}

// Client is one caller's way to DynamoDB. Its calls must not overlap.
type Client struct {
	cfg   Config
	db    *dynamodb.Client
	pool  *http.Transport
	names *net.Resolver
	dials atomic.Int64

	// The pool dials on a goroutine of its own, which may outlive the call.
	mu   sync.Mutex
	born time.Time // of the connection that was made last
}

// Names is what one host remembers of its last look-up. It is safe for concurrent use.
type Names struct {
	mu    sync.Mutex
	host  string
	ips   []netip.Addr
	err   error
	until time.Time
	// missing is when a missing name is looked up again, since epoch.
	missing atomic.Duration
}

// epoch keeps the monotonic clock in the times that are counted from it.
var epoch = time.Now()

// Missing returns when the name that was missing at the last look-up is looked up again; zero: it
// was there. It takes no lock.
func (n *Names) Missing() time.Time {
	if d := n.missing.Load(); d != 0 {
		return epoch.Add(d)
	}
	return time.Time{}
}

// New returns a client. It does not connect.
func New(cfg Config) *Client {
	if cfg.Timeout == 0 {
		cfg.Timeout = 2 * time.Second
	}
	if cfg.Names == nil {
		cfg.Names = new(Names)
	}
	c := &Client{cfg: cfg}
	c.names = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, cfg.DNS)
	}}
	c.pool = &http.Transport{DialContext: c.dial, MaxConnsPerHost: 1, MaxIdleConnsPerHost: 1, DisableCompression: true}
	c.db = dynamodb.New(dynamodb.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(cfg.URL.String()), HTTPClient: whole{http.Client{Transport: c.pool}},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "local", SecretAccessKey: "local", Source: "static"}, nil
		}),
		Retryer: retryer(cfg.Retries),
	})
	return c
}

// whole sends each request with a body of its own. The SDK closes its body as soon as the answer is
// there, which on loopback is at times before the transport has seen the body's end: then the
// transport gives the connection up, 3 in 100 calls, and no connection would live its time.
type whole struct{ http.Client }

// Do implements the SDK's HTTPClient.
func (w whole) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		data, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		r = r.Clone(r.Context())
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(data)), int64(len(data))
	}
	return w.Client.Do(r)
}

// DB is the SDK's client.
func (c *Client) DB() *dynamodb.Client { return c.db }

// Dials is the number of connections that the client has made.
func (c *Client) Dials() int64 { return c.dials.Load() }

// Close ends the client's connection.
func (c *Client) Close() { c.pool.CloseIdleConnections() }

// retryer is a version of the SDK's retries; nil: the SDK's own.
func retryer(version dependency.Retries) aws.Retryer {
	if version != dependency.Before {
		return nil
	}
	// The standard mode of aws-sdk-go-v2 before 1.48.0: three attempts, a wait of up to 2 s and then
	// of up to 4 s, five tokens a retry.
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts, o.RetryCost = retry.DefaultMaxAttempts, retryCostBefore
		o.Backoff = retry.NewExponentialJitterBackoff(retry.DefaultMaxBackoff)
	})
}

// retryCostBefore is what a retry cost then, in tokens.
const retryCostBefore = 5

// ErrNotAllowed is the error of a connection to an address that nobody named.
var ErrNotAllowed = errors.New("an address that is not the harness's own")

// dial makes a connection by the client's own resolver.
func (c *Client) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	ips, err := c.resolve(ctx, host)
	if err != nil {
		return nil, err
	}
	for _, ip := range ips {
		if !slices.Contains(c.cfg.Allowed, ip) {
			return nil, fmt.Errorf("%s has %s: %w", host, ip, ErrNotAllowed)
		}
		var conn net.Conn
		if conn, err = (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort(ip.String(), port)); err == nil {
			c.mu.Lock()
			c.born = time.Now()
			if c.dials.Inc() == 1 {
				c.born = c.born.Add(-c.cfg.Age)
			}
			c.mu.Unlock()
			return conn, nil
		}
	}
	return nil, err
}

// resolve looks a name up, or remembers what it found last.
func (c *Client) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	n := c.cfg.Names
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.host == host && time.Now().Before(n.until) {
		return n.ips, n.err
	}
	// The dot at the end keeps the host's search list out.
	ips, err := c.names.LookupNetIP(ctx, "ip4", host+".")
	for i := range ips {
		ips[i] = ips[i].Unmap()
	}
	e, isDNS := errors.AsType[*net.DNSError](err)
	switch {
	case err == nil:
		n.host, n.ips, n.err, n.until = host, ips, nil, time.Now().Add(c.cfg.TTL)
		n.missing.Store(0)
	case isDNS && e.IsNotFound:
		// The error's text names the system's server, which nobody asked.
		err = &net.DNSError{Err: "no such host", Name: host, Server: c.cfg.DNS, IsNotFound: true}
		n.host, n.ips, n.err, n.until = host, nil, err, time.Now().Add(c.cfg.NegativeTTL)
		n.missing.Store(n.until.Sub(epoch))
	}
	return ips, err
}

// Lease is a lease as the table has it.
type Lease struct {
	Manager  string // the partition's key
	Droplet  uint32 // the sort key
	Deadline time.Duration
}

// Make makes the table of leases and waits until it is there.
func Make(ctx context.Context, c *Client) error {
	_, err := c.db.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName: &c.cfg.Table, BillingMode: types.BillingModePayPerRequest,
		KeySchema: []types.KeySchemaElement{
			{AttributeName: aws.String("manager"), KeyType: types.KeyTypeHash}, {AttributeName: aws.String("droplet"), KeyType: types.KeyTypeRange},
		},
		AttributeDefinitions: []types.AttributeDefinition{
			{AttributeName: aws.String("manager"), AttributeType: types.ScalarAttributeTypeS}, {AttributeName: aws.String("droplet"), AttributeType: types.ScalarAttributeTypeN},
		},
	})
	if _, there := errors.AsType[*types.ResourceInUseException](err); err != nil && !there {
		return err
	}
	return dynamodb.NewTableExistsWaiter(c.db, func(o *dynamodb.TableExistsWaiterOptions) {
		o.MinDelay, o.MaxDelay = 50*time.Millisecond, time.Second
	}).Wait(ctx, &dynamodb.DescribeTableInput{TableName: &c.cfg.Table}, 30*time.Second)
}

// Check makes a state check of a droplet: it renews the lease in the table, on the condition that
// no other manager's check was later. A connection that has lived its time ends before.
func (c *Client) Check(ctx context.Context, l Lease) error {
	c.mu.Lock()
	old := c.cfg.Lifetime > 0 && !c.born.IsZero() && time.Since(c.born) > c.cfg.Lifetime
	c.mu.Unlock()
	if old {
		c.pool.CloseIdleConnections()
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	_, err := c.db.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &c.cfg.Table,
		Key: map[string]types.AttributeValue{
			"manager": &types.AttributeValueMemberS{Value: l.Manager},
			"droplet": &types.AttributeValueMemberN{Value: strconv.FormatUint(uint64(l.Droplet), 10)},
		},
		UpdateExpression:         aws.String("SET #deadline = :deadline ADD #checks :one"),
		ConditionExpression:      aws.String("attribute_not_exists(#deadline) OR #deadline < :deadline"),
		ExpressionAttributeNames: map[string]string{"#deadline": "deadline", "#checks": "checks"},
		ExpressionAttributeValues: map[string]types.AttributeValue{
			":deadline": &types.AttributeValueMemberN{Value: strconv.FormatInt(int64(l.Deadline), 10)},
			":one":      &types.AttributeValueMemberN{Value: "1"},
		},
	})
	return err
}

// Probe checks that an endpoint is DynamoDB: a table that does not exist must be missing in
// DynamoDB's own words.
func Probe(ctx context.Context, c *Client) error {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	_, err := c.db.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: aws.String("leasestorm-is-this-dynamodb")})
	if err == nil {
		return nil
	}
	if _, missing := errors.AsType[*types.ResourceNotFoundException](err); missing {
		return nil
	}
	if api, ok := errors.AsType[smithy.APIError](err); ok && api.ErrorCode() != "" && api.ErrorCode() != "UnknownError" {
		return fmt.Errorf("it answers %s (%s) when it is asked for a table that does not exist; want ResourceNotFoundException", api.ErrorCode(), api.ErrorMessage())
	}
	return err
}
