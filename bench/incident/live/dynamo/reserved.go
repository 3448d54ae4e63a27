package dynamo

import (
	_ "embed"
	"strings"
)

//go:embed reserved.txt
var reservedText string

var reservedWords = func() map[string]bool {
	words := map[string]bool{}
	for _, w := range strings.Fields(reservedText) {
		words[w] = true
	}
	return words
}()

// reserved reports whether a word cannot stand for an attribute by itself. It then needs a #name.
func reserved(word string) bool { return reservedWords[strings.ToUpper(word)] }
