package dynamo

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

// post makes one call without the SDK, and returns the status and the body.
func post(t *testing.T, url, target, auth, body string) (int, map[string]any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Amz-Target", target)
	req.Header.Set("Authorization", auth)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }()
	data, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(data, &m); err != nil {
		t.Fatalf("%q: %v", data, err)
	}
	return r.StatusCode, m
}

// TestFaults checks the form of errors on the wire, and that what the store cannot do is named.
func TestFaults(t *testing.T) {
	url := ours(t)
	const auth, coral = "AWS4-HMAC-SHA256 Credential=x", "com.amazon.coral."
	const table = `"TableName":"leases"`
	if status, m := post(t, url, "DynamoDB_20120810.CreateTable", auth, `{`+table+`,"BillingMode":"PAY_PER_REQUEST","KeySchema":[{"AttributeName":"k","KeyType":"HASH"}],"AttributeDefinitions":[{"AttributeName":"k","AttributeType":"S"}]}`); status != http.StatusOK {
		t.Fatal(m)
	}
	const key = `"Key":{"k":{"S":"a"}}`
	for _, c := range []struct{ op, auth, body, kind, message string }{
		{"Scan", auth, `{}`, coral + "service#UnknownOperationException", ""},
		{"GetItem", "", `{}`, coral + "service#MissingAuthenticationTokenException", "Request must contain"},
		{"GetItem", auth, `{`, coral + "service#SerializationException", ""},
		{"GetItem", auth, `{"TableName":"absent",` + key + `}`, "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException", "not found"},
		{"GetItem", auth, `{` + table + `}`, coral + "validate#ValidationException", "'key'"},
		{"GetItem", auth, `{` + table + `,` + key + `,"AttributesToGet":["k"]}`, coral + "validate#ValidationException", "AttributesToGet is not supported"},
		{"GetItem", auth, `{` + table + `,"Key":{"k":{"X":"a"}}}`, coral + "validate#ValidationException", "AttributeValue"},
		{"GetItem", auth, `{` + table + `,"Key":{"k":{"S":"a","N":"1"}}}`, coral + "validate#ValidationException", "exactly one"},
		{"UpdateItem", auth, `{` + table + `,` + key + `,"UpdateExpression":"DELETE a :v"}`, coral + "validate#ValidationException", "DELETE in an update expression is not supported"},
		{"UpdateItem", auth, `{` + table + `,` + key + `,"UpdateExpression":"REMOVE a.b"}`, coral + "validate#ValidationException", "(a.b) is not supported"},
		{"UpdateItem", auth, `{` + table + `,` + key + `,"UpdateExpression":"SET a = list_append(a, b)"}`, coral + "validate#ValidationException", "list_append is not supported"},
		{"UpdateItem", auth, `{` + table + `,` + key + `,"UpdateExpression":"REMOVE a","ConditionExpression":"size(a) > b"}`, coral + "validate#ValidationException", "size is not supported"},
		{"UpdateItem", auth, `{` + table + `,` + key + `,"UpdateExpression":"REMOVE a","ConditionExpression":"a ; b"}`, coral + "validate#ValidationException", `";"`},
		{"PutItem", auth, `{` + table + `,"Item":{"k":{"S":"a"},"x":{"S":"` + strings.Repeat("x", mostBytes) + `"}}}`, coral + "validate#ValidationException", "maximum allowed size"},
		{"PutItem", auth, `{` + table + `,"Item":{"k":{"S":"a"}},"ConditionExpression":"attribute_exists(k)"}`, "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException", "The conditional request failed"},
	} {
		status, m := post(t, url, "DynamoDB_20120810."+c.op, c.auth, c.body)
		message, _ := m["message"].(string)
		if status != http.StatusBadRequest || m["__type"] != c.kind || !strings.Contains(message, c.message) {
			t.Errorf("%s %.80s: %d %v", c.op, c.body, status, m)
		}
	}
}

// TestNumbers checks the one form in which a number is stored, and the limits.
func TestNumbers(t *testing.T) {
	for in, want := range map[string]string{
		"0": "0", "-0": "0", "007": "7", "1.50": "1.5", ".5": "0.5", "5.": "5", "1e3": "1000", "-12.5E-2": "-0.125", "+3": "3",
		"1e125": "1" + strings.Repeat("0", 125), "1e-130": "0." + strings.Repeat("0", 129) + "1", "0e999999999": "0", "100e-2": "1",
		strings.Repeat("9", 38): strings.Repeat("9", 38), "0.00012345678901234567890123456789012345678": "0.00012345678901234567890123456789012345678",
	} {
		if got, err := stored(in); err != nil || got != want {
			t.Errorf("%s is stored as %s, want %s: %v", in, got, want, err)
		}
	}
	for _, bad := range []string{"", "x", "1e", "1e126", "1e999999999", "1e-131", "-1e-999999999", strings.Repeat("9", 39), "0x10", "1/2", "1_000", "Inf", "1e1000000000000"} {
		if got, err := stored(bad); err == nil {
			t.Errorf("%q is stored as %s", bad, got)
		}
	}
}

// TestListen closes the port and the connections.
func TestListen(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s, err := Listen(ctx, NewStore(), 0, "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	port := s.ports[0].Addr().String()
	if status, _ := post(t, "http://"+port, "DynamoDB_20120810.Scan", "", `{}`); status != http.StatusBadRequest {
		t.Errorf("status %d", status)
	}
	if _, err := Listen(ctx, NewStore(), s.Port(), "127.0.0.1"); err == nil || !strings.Contains(err.Error(), "is in use") {
		t.Errorf("a taken port: %v", err)
	}
	cancel()
	s.Close()
	again, err := Listen(t.Context(), NewStore(), s.Port(), "127.0.0.1")
	if err != nil {
		t.Fatalf("the port is not free after the end: %v", err)
	}
	again.Close()
}
