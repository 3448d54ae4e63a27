package dynamo

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
	"github.com/truora/minidyn/server"
	"go.uber.org/goleak"

	"github.com/leasestorm/leasestorm/internal/need"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Short forms of the SDK's types, for the list of calls.
type (
	db   = *dynamodb.Client
	item = map[string]types.AttributeValue
	put  = dynamodb.PutItemInput
	upd  = dynamodb.UpdateItemInput
	get  = dynamodb.GetItemInput
	qry  = dynamodb.QueryInput
)

func s(v string) types.AttributeValue { return &types.AttributeValueMemberS{Value: v} }
func n(v string) types.AttributeValue { return &types.AttributeValueMemberN{Value: v} }

// id is a lease's key.
func id(manager, droplet string) item { return item{"manager": s(manager), "droplet": n(droplet)} }

// with is an item with more attributes: names and values by turns.
func with(it item, more ...any) item {
	all := item{}
	for k, v := range it {
		all[k] = v
	}
	for i := 0; i < len(more); i += 2 {
		all[more[i].(string)] = more[i+1].(types.AttributeValue)
	}
	return all
}

// answer is what of a call's end is compared: the error's code, or the items.
type answer struct {
	Code  string
	Item  item   // of GetItem, or Attributes of a write
	Items []item // of Query
	Count int32
	Last  item // LastEvaluatedKey
	Note  string
}

func code(err error) string {
	if err == nil {
		return ""
	}
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return api.ErrorCode()
	}
	return "no answer: " + err.Error()
}

// String is the answer in one form, whatever the order of attributes.
func (a answer) String() string {
	plain := func(it item) map[string]any {
		m := map[string]any{}
		for k, v := range it {
			m[k] = fmt.Sprintf("%T %v", v, v)
			if b, err := json.Marshal(v); err == nil {
				m[k] = fmt.Sprintf("%T %s", v, b)
			}
		}
		return m
	}
	items := make([]map[string]any, len(a.Items))
	for i, it := range a.Items {
		items[i] = plain(it)
	}
	text, err := json.Marshal([]any{a.Code, plain(a.Item), items, a.Count, plain(a.Last), a.Note})
	if err != nil {
		return err.Error()
	}
	return string(text)
}

const leases = "leases"

// make is the call that makes the table.
func create(name string) *dynamodb.CreateTableInput {
	return &dynamodb.CreateTableInput{
		TableName: &name, BillingMode: types.BillingModePayPerRequest,
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("manager"), KeyType: types.KeyTypeHash}, {AttributeName: aws.String("droplet"), KeyType: types.KeyTypeRange}},
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("manager"), AttributeType: types.ScalarAttributeTypeS}, {AttributeName: aws.String("droplet"), AttributeType: types.ScalarAttributeTypeN}},
	}
}

// step is one call of the list.
type step struct {
	what string
	do   func(ctx context.Context, c db) answer
}

// puts is a PutItem. The returned attributes count only where they are asked for: minidyn returns the
// item at any time.
func puts(what string, in put) step {
	in.TableName = aws.String(leases)
	return step{what: what, do: func(ctx context.Context, c db) answer {
		out, err := c.PutItem(ctx, &in)
		a := answer{Code: code(err)}
		if out != nil && in.ReturnValues != "" {
			a.Item = out.Attributes
		}
		if e, ok := errors.AsType[*types.ConditionalCheckFailedException](err); ok {
			a.Item = e.Item
		}
		return a
	}}
}

func updates(what string, in upd) step {
	in.TableName = aws.String(leases)
	return step{what: what, do: func(ctx context.Context, c db) answer {
		out, err := c.UpdateItem(ctx, &in)
		a := answer{Code: code(err)}
		if out != nil {
			a.Item = out.Attributes
		}
		if e, ok := errors.AsType[*types.ConditionalCheckFailedException](err); ok {
			a.Item = e.Item
		}
		return a
	}}
}

func gets(what string, key item) step {
	return step{what: what, do: func(ctx context.Context, c db) answer {
		out, err := c.GetItem(ctx, &get{TableName: aws.String(leases), Key: key, ConsistentRead: aws.Bool(true)})
		a := answer{Code: code(err)}
		if out != nil {
			a.Item = out.Item
		}
		return a
	}}
}

func queries(what string, in qry) step {
	in.TableName = aws.String(leases)
	return step{what: what, do: func(ctx context.Context, c db) answer {
		out, err := c.Query(ctx, &in)
		a := answer{Code: code(err)}
		if out != nil {
			a.Items, a.Count, a.Last = out.Items, out.Count, out.LastEvaluatedKey
		}
		return a
	}}
}

// calls are the calls of the conformance test, in order: each depends on those before it.
func calls() []step {
	tableStep := func(what string, do func(ctx context.Context, c db) (*types.TableDescription, error)) step {
		return step{what: what, do: func(ctx context.Context, c db) answer {
			d, err := do(ctx, c)
			a := answer{Code: code(err)}
			if d != nil {
				a.Note = *d.TableName + " " + *d.KeySchema[0].AttributeName + " " + *d.KeySchema[1].AttributeName
			}
			return a
		}}
	}
	describe := func(name string) func(ctx context.Context, c db) (*types.TableDescription, error) {
		return func(ctx context.Context, c db) (*types.TableDescription, error) {
			out, err := c.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &name})
			if err != nil {
				return nil, err
			}
			return out.Table, nil
		}
	}
	makes := func(in *dynamodb.CreateTableInput) func(ctx context.Context, c db) (*types.TableDescription, error) {
		return func(ctx context.Context, c db) (*types.TableDescription, error) {
			out, err := c.CreateTable(ctx, in)
			if err != nil {
				return nil, err
			}
			return out.TableDescription, nil
		}
	}
	noKey := create("nokey")
	noKey.AttributeDefinitions = noKey.AttributeDefinitions[:1]
	one := map[string]types.AttributeValue{":one": n("1")}
	epoch := map[string]string{"#e": "epoch"}
	later := "attribute_not_exists(#e) OR #e < :e"
	return []step{
		tableStep("describe a table that is not there", describe("missing")),
		tableStep("make a table", makes(create(leases))),
		{what: "wait for it", do: func(ctx context.Context, c db) answer {
			for ctx.Err() == nil {
				out, err := c.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: aws.String(leases)})
				if err != nil || out.Table.TableStatus != types.TableStatusCreating {
					return answer{Code: code(err)}
				}
			}
			return answer{Code: "none"}
		}},
		tableStep("make it again", makes(create(leases))),
		tableStep("describe it", describe(leases)),
		tableStep("make one whose key is not defined", makes(noKey)),

		gets("get what is not there", id("m", "1")),
		puts("put", put{Item: with(id("m", "1"), "epoch", n("1"), "host", s("a"))}),
		gets("get it", id("m", "1")),
		puts("put if not there, and it is", put{Item: id("m", "1"), ConditionExpression: aws.String("attribute_not_exists(manager)")}),
		puts("the same, and return it", put{
			Item: id("m", "1"), ConditionExpression: aws.String("attribute_not_exists(manager)"), ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
		}),
		puts("put if there, return the old one", put{
			Item: with(id("m", "1"), "epoch", n("2"), "host", s("b")), ConditionExpression: aws.String("attribute_exists(droplet)"), ReturnValues: types.ReturnValueAllOld,
		}),
		puts("put on a comparison of numbers", put{
			Item: with(id("m", "1"), "epoch", n("10")), ConditionExpression: aws.String(later), ExpressionAttributeNames: epoch, ExpressionAttributeValues: item{":e": n("10")},
		}),
		puts("the same with a lower one", put{
			Item: with(id("m", "1"), "epoch", n("9")), ConditionExpression: aws.String(later), ExpressionAttributeNames: epoch, ExpressionAttributeValues: item{":e": n("9")},
		}),
		gets("the higher one stands", id("m", "1")),
		puts("<> of what is not there", put{Item: with(id("m", "8"), "x", s("1")), ConditionExpression: aws.String("absent <> :v"), ExpressionAttributeValues: item{":v": s("1")}}),
		puts("put without the sort key", put{Item: item{"manager": s("m")}}),
		puts("put with a key of another type", put{Item: item{"manager": n("1"), "droplet": n("1")}}),

		updates("update what is not there", upd{
			Key: id("m", "5"), UpdateExpression: aws.String("SET epoch = :one, host = :h"), ExpressionAttributeValues: item{":one": n("1"), ":h": s("a")}, ReturnValues: types.ReturnValueAllNew,
		}),
		updates("a state check", upd{
			Key: id("m", "5"), UpdateExpression: aws.String("SET #d = :d ADD #c :one"), ConditionExpression: aws.String("attribute_not_exists(#d) OR #d < :d"),
			ExpressionAttributeNames: map[string]string{"#d": "deadline", "#c": "checks"}, ExpressionAttributeValues: item{":d": n("100"), ":one": n("1")}, ReturnValues: types.ReturnValueUpdatedNew,
		}),
		updates("a state check that is late", upd{
			Key: id("m", "5"), UpdateExpression: aws.String("SET #d = :d ADD #c :one"), ConditionExpression: aws.String("attribute_not_exists(#d) OR #d < :d"),
			ExpressionAttributeNames: map[string]string{"#d": "deadline", "#c": "checks"}, ExpressionAttributeValues: item{":d": n("100"), ":one": n("1")},
			ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
		}),
		updates("a sum", upd{Key: id("m", "5"), UpdateExpression: aws.String("SET epoch = epoch + :one"), ExpressionAttributeValues: one, ReturnValues: types.ReturnValueUpdatedOld}),
		updates("a difference", upd{Key: id("m", "5"), UpdateExpression: aws.String("SET epoch = epoch - :one, was = epoch"), ExpressionAttributeValues: one, ReturnValues: types.ReturnValueUpdatedNew}),
		updates("a default", upd{Key: id("m", "5"), UpdateExpression: aws.String("SET tries = if_not_exists(tries, :zero) + :one"), ExpressionAttributeValues: item{":one": n("1"), ":zero": n("0")}, ReturnValues: types.ReturnValueUpdatedNew}),
		updates("remove", upd{Key: id("m", "5"), UpdateExpression: aws.String("REMOVE host, nothing"), ReturnValues: types.ReturnValueAllNew}),
		updates("all sections", upd{
			Key: id("m", "5"), UpdateExpression: aws.String("ADD checks :one REMOVE tries SET host = :h"), ExpressionAttributeValues: item{":one": n("0.5"), ":h": s("z")}, ReturnValues: types.ReturnValueAllOld,
		}),
		updates("no expression", upd{Key: id("m", "6"), ReturnValues: types.ReturnValueAllNew}),
		updates("a part of the key", upd{Key: id("m", "5"), UpdateExpression: aws.String("SET droplet = :one"), ExpressionAttributeValues: one}),
		updates("a sum of a text", upd{Key: id("m", "5"), UpdateExpression: aws.String("SET x = host + :one"), ExpressionAttributeValues: one}),
		updates("a sum of what is not there", upd{Key: id("m", "5"), UpdateExpression: aws.String("SET x = nothing + :one"), ExpressionAttributeValues: one}),
		updates("a section twice", upd{Key: id("m", "5"), UpdateExpression: aws.String("SET a = :one SET b = :one"), ExpressionAttributeValues: one}),
		updates("an attribute twice", upd{Key: id("m", "5"), UpdateExpression: aws.String("SET a = :one, a = :one"), ExpressionAttributeValues: one}),
		updates("an update's syntax error", upd{Key: id("m", "5"), UpdateExpression: aws.String("SET a :one"), ExpressionAttributeValues: one}),
		updates("add to a text", upd{Key: id("m", "5"), UpdateExpression: aws.String("ADD host :one"), ExpressionAttributeValues: one}),
		updates("a condition of an item that is not there", upd{Key: id("m", "7"), UpdateExpression: aws.String("SET a = :one"), ConditionExpression: aws.String("attribute_exists(droplet)"), ExpressionAttributeValues: one}),
		updates("and, or, not, between, in", upd{
			Key: id("m", "5"), UpdateExpression: aws.String("SET a = :one"),
			ConditionExpression:       aws.String("NOT (epoch > :two) AND epoch BETWEEN :one AND :two AND host IN (:a, :z) OR begins_with(host, :a)"),
			ExpressionAttributeValues: item{":one": n("1"), ":two": n("2"), ":a": s("a"), ":z": s("z")}, ReturnValues: types.ReturnValueAllNew,
		}),
		gets("after the updates", id("m", "5")),
		gets("an update that failed makes nothing", id("m", "7")),

		puts("another partition", put{Item: id("other", "1")}),
		puts("a number that sorts as a number", put{Item: id("q", "10")}), puts("2", put{Item: id("q", "2")}), puts("-1", put{Item: id("q", "-1")}), puts("33", put{Item: id("q", "33")}),
		queries("a partition in order", qry{KeyConditionExpression: aws.String("manager = :m"), ExpressionAttributeValues: item{":m": s("q")}}),
		queries("backwards", qry{KeyConditionExpression: aws.String("manager = :m"), ExpressionAttributeValues: item{":m": s("q")}, ScanIndexForward: aws.Bool(false)}),
		queries("a range", qry{KeyConditionExpression: aws.String("manager = :m AND droplet > :d"), ExpressionAttributeValues: item{":m": s("q"), ":d": n("2")}}),
		queries("between", qry{KeyConditionExpression: aws.String("#m = :m AND droplet BETWEEN :d AND :e"), ExpressionAttributeNames: map[string]string{"#m": "manager"}, ExpressionAttributeValues: item{":m": s("q"), ":d": n("-1"), ":e": n("10")}}),
		queries("the first two", qry{KeyConditionExpression: aws.String("manager = :m"), ExpressionAttributeValues: item{":m": s("q")}, Limit: aws.Int32(2)}),
		queries("the next two", qry{KeyConditionExpression: aws.String("manager = :m"), ExpressionAttributeValues: item{":m": s("q")}, Limit: aws.Int32(2), ExclusiveStartKey: id("q", "2")}),
		queries("after the last", qry{KeyConditionExpression: aws.String("manager = :m"), ExpressionAttributeValues: item{":m": s("q")}, ExclusiveStartKey: id("q", "33")}),
		queries("a partition that is not there", qry{KeyConditionExpression: aws.String("manager = :m"), ExpressionAttributeValues: item{":m": s("nobody")}}),
		queries("the number alone", qry{KeyConditionExpression: aws.String("manager = :m"), ExpressionAttributeValues: item{":m": s("q")}, Select: types.SelectCount}),
		queries("no partition", qry{KeyConditionExpression: aws.String("droplet = :d"), ExpressionAttributeValues: item{":d": n("1")}}),
		queries("a range of partitions", qry{KeyConditionExpression: aws.String("manager > :m"), ExpressionAttributeValues: item{":m": s("q")}}),
		queries("an attribute that is no key", qry{KeyConditionExpression: aws.String("manager = :m AND epoch = :d"), ExpressionAttributeValues: item{":m": s("q"), ":d": n("1")}}),
		queries("a key of another type", qry{KeyConditionExpression: aws.String("manager = :m"), ExpressionAttributeValues: item{":m": n("1")}}),
		queries("no condition", qry{}),
		puts("put with an empty key", put{Item: item{"manager": s(""), "droplet": n("1")}}),
		puts("a number of 39 digits", put{Item: with(id("m", "2"), "x", n(strings.Repeat("1", 39)))}),
		puts("a number that is none", put{Item: with(id("m", "2"), "x", n("abc"))}),
		puts("numbers in other forms", put{Item: with(id("m", "2"), "a", n("1e3"), "b", n("-0.50"), "c", n("007"), "d", n("1.5E-3"))}),
		gets("numbers are stored in one form", id("m", "2")),
		puts("all types", put{Item: with(id("m", "3"),
			"bool", &types.AttributeValueMemberBOOL{Value: true}, "null", &types.AttributeValueMemberNULL{Value: true}, "bytes", &types.AttributeValueMemberB{Value: []byte{0, 1, 255}},
			"list", &types.AttributeValueMemberL{Value: []types.AttributeValue{s("x"), n("2")}}, "map", &types.AttributeValueMemberM{Value: item{"k": s("v")}},
			"texts", &types.AttributeValueMemberSS{Value: []string{"a", "b"}})}),
		gets("all types come back", id("m", "3")),
		puts("a syntax error", put{Item: id("m", "4"), ConditionExpression: aws.String("manager = = :v"), ExpressionAttributeValues: item{":v": s("x")}}),
		puts("a value that is not defined", put{Item: id("m", "4"), ConditionExpression: aws.String("manager = :v")}),
		puts("a name that is not defined", put{Item: id("m", "4"), ConditionExpression: aws.String("attribute_exists(#n)")}),
		puts("a value that is not used", put{Item: id("m", "4"), ConditionExpression: aws.String("attribute_exists(manager)"), ExpressionAttributeValues: one}),
		puts("a reserved word", put{Item: id("m", "4"), ConditionExpression: aws.String("attribute_exists(status)")}),
		puts("an empty expression", put{Item: id("m", "4"), ConditionExpression: aws.String("")}),
		puts("a function that does not exist", put{Item: id("m", "4"), ConditionExpression: aws.String("is_there(manager)")}),
		gets("none of them was put", id("m", "4")),
		gets("get by half a key", item{"manager": s("m")}),
		gets("get by too many attributes", with(id("m", "1"), "x", s("1"))),
		{what: "put into a table that is not there", do: func(ctx context.Context, c db) answer {
			_, err := c.PutItem(ctx, &put{TableName: aws.String("missing"), Item: id("m", "1")})
			return answer{Code: code(err)}
		}},
		{what: "query a table that is not there", do: func(ctx context.Context, c db) answer {
			_, err := c.Query(ctx, &qry{TableName: aws.String("missing"), KeyConditionExpression: aws.String("manager = :m"), ExpressionAttributeValues: item{":m": s("q")}})
			return answer{Code: code(err)}
		}},
		{what: "a table's name that is too short", do: func(ctx context.Context, c db) answer {
			_, err := c.GetItem(ctx, &get{TableName: aws.String("x"), Key: id("m", "1")})
			return answer{Code: code(err)}
		}},
	}
}

// sdk is the SDK's client of an endpoint on this host, without retries.
func sdk(url string) db {
	return dynamodb.New(dynamodb.Options{
		Region: "us-east-1", BaseEndpoint: &url, Retryer: aws.NopRetryer{}, DefaultsMode: aws.DefaultsModeStandard,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "local", SecretAccessKey: "local"}, nil
		}),
	})
}

func ours(t *testing.T) string {
	store := httptest.NewServer(NewStore())
	t.Cleanup(store.Close)
	return store.URL
}

// freePort is a port that is free at present.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// dynalite starts the oracle of node.
func dynalite(t *testing.T) string {
	t.Helper()
	path := need.Tool(t, "dynalite", "node, npm and then: npm install -g dynalite@4.0.0")
	port := freePort(t)
	cmd := exec.CommandContext(t.Context(), path, "--host", "127.0.0.1", "--port", port, "--createTableMs", "0")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || !strings.Contains(line, "listening") {
		t.Fatalf("dynalite says %q: %v", line, err)
	}
	return "http://127.0.0.1:" + port
}

func minidyn(t *testing.T) string {
	store := httptest.NewServer(server.NewServer())
	t.Cleanup(store.Close)
	return store.URL
}

// differs says where another store is known to differ from DynamoDB, by the call.
var differs = map[string]map[string]string{
	"dynalite": {
		"the same, and return it":    "it returns no item with a failed condition",
		"a state check that is late": "it returns no item with a failed condition",
	},
	"minidyn": {
		"the same, and return it":          "it returns no item with a failed condition",
		"put if there, return the old one": "it returns the new item",
		"a difference":                     "an action sees what those before it have changed",
		"remove":                           "it does not remove, and sees \"a difference\"",
		"all sections":                     "the attributes of the two before",
		"and, or, not, between, in":        "the attributes of those before",
		"after the updates":                "the attributes of those before",
		"no expression":                    "it wants one",
		"an attribute twice":               "it takes the last",
		"a partition in order":             "it sorts numbers as texts",
		"backwards":                        "it sorts numbers as texts",
		"between":                          "it sorts numbers as texts",
		"the first two":                    "it sorts numbers as texts",
		"the next two":                     "it sorts numbers as texts",
		"the number alone":                 "it returns the items as well",
		"no partition":                     "it searches the table",
		"a range of partitions":            "it searches the table",
		"an attribute that is no key":      "it searches the table",
		"no condition":                     "it searches the table",
		"put with an empty key":            "it checks no values",
		"a number of 39 digits":            "it checks no values",
		"a number that is none":            "it checks no values",
		"numbers are stored in one form":   "it keeps numbers as they came",
		"a value that is not defined":      "the condition fails",
		"an empty expression":              "the condition fails",
		"a table's name that is too short": "it checks no names",
	},
}

// TestConformance makes the same calls of our store and of two others, and compares the answers
// call by call.
func TestConformance(t *testing.T) {
	for _, other := range []struct {
		name  string
		start func(*testing.T) string
	}{{"dynalite", dynalite}, {"minidyn", minidyn}} {
		t.Run(other.name, func(t *testing.T) {
			mine, theirs := sdk(ours(t)), sdk(other.start(t))
			left := maps.Clone(differs[other.name])
			same := 0
			for _, st := range calls() {
				a, b := st.do(t.Context(), mine).String(), st.do(t.Context(), theirs).String()
				how, known := left[st.what]
				delete(left, st.what)
				switch {
				case a == b && known:
					t.Errorf("%s: no longer differs (%s): take the exception out", st.what, how)
				case a != b && !known:
					t.Errorf("%s:\nours     %s\n%-8s %s", st.what, a, other.name, b)
				case a == b:
					same++
				}
			}
			for what := range left {
				t.Errorf("there is no call %q: take the exception out", what)
			}
			t.Logf("%d of %d calls have the same answer", same, len(calls()))
		})
	}
}
