package dynamo

import (
	"slices"
	"time"
)

// keyElement and definition are the parts of a schema on the wire.
type keyElement struct{ AttributeName, KeyType string }

type definition struct{ AttributeName, AttributeType string }

func (s *Store) createTable(r *request) (any, error) {
	name := r.text("TableName")
	var schema []keyElement
	var defs []definition
	mode := r.choice("BillingMode", "PROVISIONED", "PAY_PER_REQUEST")
	var capacity struct{ ReadCapacityUnits, WriteCapacityUnits int64 }
	provisioned := r.get("ProvisionedThroughput", &capacity)
	if !r.get("KeySchema", &schema) {
		r.fail(missing("KeySchema"))
	}
	if !r.get("AttributeDefinitions", &defs) {
		r.fail(missing("AttributeDefinitions"))
	}
	switch {
	case mode == "PROVISIONED" && !provisioned:
		r.fail(invalid("One or more parameter values were invalid: ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED"))
	case mode != "PROVISIONED" && provisioned:
		r.fail(invalid("One or more parameter values were invalid: Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST"))
	}
	if err := r.end(); err != nil {
		return nil, err
	}
	t := &table{name: name, created: time.Now(), items: map[string]map[string]Item{}, schema: schema, defs: defs, mode: mode, read: capacity.ReadCapacityUnits, write: capacity.WriteCapacityUnits}
	if err := t.setKeys(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tables[name] != nil {
		return nil, fault("ResourceInUseException", "Table already exists: %s", name)
	}
	s.tables[name] = t
	return map[string]any{"TableDescription": t.describe("CREATING")}, nil
}

// setKeys sets the key's attributes by the schema.
func (t *table) setKeys() error {
	if len(t.schema) < 1 || len(t.schema) > 2 || t.schema[0].KeyType != "HASH" {
		return invalid("Invalid KeySchema: The first KeySchemaElement is not a HASH key type")
	}
	if len(t.schema) == 2 && t.schema[1].KeyType != "RANGE" {
		return invalid("Invalid KeySchema: The second KeySchemaElement is not a RANGE key type")
	}
	if len(t.defs) != len(t.schema) {
		return invalid("One or more parameter values were invalid: Number of attributes in KeySchema does not exactly match number of attributes defined in AttributeDefinitions")
	}
	for i, e := range t.schema {
		at := slices.IndexFunc(t.defs, func(d definition) bool { return d.AttributeName == e.AttributeName })
		if at < 0 {
			return invalid("One or more parameter values were invalid: Some index key attributes are not defined in AttributeDefinitions. Keys: [%s]", e.AttributeName)
		}
		a := attribute{e.AttributeName, t.defs[at].AttributeType}
		if !ordered(a.Kind) {
			return invalid("1 validation error detected: Value '%s' at 'attributeDefinitions.%d.member.attributeType' failed to satisfy constraint: Member must satisfy enum value set: [B, N, S]", a.Kind, at+1)
		}
		if i == 0 {
			t.hash = a
		} else {
			t.sort = a
		}
	}
	return nil
}

func (s *Store) describeTable(r *request) (any, error) {
	name := r.text("TableName")
	if err := r.end(); err != nil {
		return nil, err
	}
	t, err := s.table(name)
	if err != nil {
		return nil, fault("ResourceNotFoundException", "Requested resource not found: Table: %s not found", name)
	}
	return map[string]any{"Table": t.describe("ACTIVE")}, nil
}

// describe is what CreateTable and DescribeTable tell of a table. It is there at once; DynamoDB
// needs some seconds.
func (t *table) describe(status string) map[string]any {
	t.mu.Lock()
	defer t.mu.Unlock()
	items, bytes := 0, 0
	for _, part := range t.items {
		items += len(part)
		for _, it := range part {
			bytes += it.size()
		}
	}
	d := map[string]any{
		"TableName": t.name, "TableStatus": status, "KeySchema": t.schema, "AttributeDefinitions": t.defs,
		"CreationDateTime": float64(t.created.UnixMilli()) / 1000, "ItemCount": items, "TableSizeBytes": bytes,
		"TableArn":              "arn:aws:dynamodb:us-east-1:000000000000:table/" + t.name,
		"ProvisionedThroughput": map[string]any{"NumberOfDecreasesToday": 0, "ReadCapacityUnits": t.read, "WriteCapacityUnits": t.write},
	}
	if t.mode != "PROVISIONED" {
		d["BillingModeSummary"] = map[string]any{"BillingMode": t.mode}
	}
	return d
}
