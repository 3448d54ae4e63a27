package dynamo

import (
	"errors"
	"fmt"
	"net/http"
)

// Fault is an error as DynamoDB answers it.
type Fault struct {
	Code    string // for example ConditionalCheckFailedException
	Message string
	Status  int
	Item    Item // the item that failed a condition, if the request wants it
}

func (f *Fault) Error() string { return f.Code + ": " + f.Message }

// family is what stands before the code in the field __type.
func (f *Fault) family() string {
	switch f.Code {
	case "ValidationException":
		return "com.amazon.coral.validate#"
	case "SerializationException", "UnknownOperationException", "MissingAuthenticationTokenException":
		return "com.amazon.coral.service#"
	}
	return "com.amazonaws.dynamodb.v20120810#"
}

func fault(code, format string, args ...any) *Fault {
	return &Fault{Code: code, Message: fmt.Sprintf(format, args...), Status: http.StatusBadRequest}
}

func invalid(format string, args ...any) *Fault { return fault("ValidationException", format, args...) }

// unsupported is the error for what DynamoDB does and this store does not.
func unsupported(what string) *Fault {
	return invalid("%s is not supported by this store", what)
}

// serialization is the error for a request that cannot be read; a Fault within stays as it is.
func serialization(err error) error {
	if f, ok := errors.AsType[*Fault](err); ok {
		return f
	}
	return fault("SerializationException", "%v", err)
}

var (
	errNoTable   = fault("ResourceNotFoundException", "Requested resource not found")
	errCondition = fault("ConditionalCheckFailedException", "The conditional request failed")
	errKey       = invalid("The provided key element does not match the schema")
)
