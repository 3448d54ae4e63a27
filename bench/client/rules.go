package client

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/leasestorm/leasestorm/queue"
)

// Codes are the names of gRPC's status codes, from 0 on.
var Codes = []string{"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
	"PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL",
	"UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"}

// StatusName returns a status as results name it: a code of gRPC by its name, one of HTTP as the number.
func StatusName(status int) string {
	if status >= 0 && status < len(Codes) {
		return Codes[status]
	}
	return strconv.Itoa(status)
}

// Rules say which outcome an answer has.
type Rules struct {
	http          [1000]queue.Outcome
	codes         [17]queue.Outcome
	name, value   string // of the header of refusals; "": none
	hasValue      bool
	HeaderMatters bool // there is such a header
}

// Rules compiles the lists of statuses. A status that is in two lists, and a list that names none that
// there can be, is an error, which wraps ErrSettings.
func (s *Settings) Rules() (*Rules, error) {
	r := &Rules{}
	for i := range r.http {
		r.http[i] = queue.Failed
	}
	for i := range r.codes {
		r.codes[i] = queue.Failed
	}
	taken := map[string]string{} // by status: its list
	for _, list := range []struct {
		key, text string
		out       queue.Outcome
	}{
		{"answers.good", s.Answers.Good, queue.Good}, {"answers.late", s.Answers.Late, queue.Late},
		{"answers.shed", s.Answers.Shed, queue.Shed}, {"answers.failed", s.Answers.Failed, queue.Failed},
	} {
		for word := range strings.SplitSeq(list.text, ",") {
			if word = strings.TrimSpace(word); word == "" {
				continue
			}
			low, high, err := statuses(word)
			if err != nil {
				return nil, bad(list.key, "%v", err)
			}
			for status := low; status <= high; status++ {
				name, at := "", (*queue.Outcome)(nil)
				if low < 100 {
					name, at = Codes[status], &r.codes[status]
				} else {
					name, at = strconv.Itoa(status), &r.http[status]
				}
				if other := taken[name]; other != "" && other != list.key {
					return nil, bad(list.key, "%s is in %s, too: an answer has one outcome", name, other)
				}
				taken[name], *at = list.key, list.out
			}
		}
	}
	if !slices.Contains(r.http[:], queue.Good) && !slices.Contains(r.codes[:], queue.Good) {
		return nil, bad("answers.good", "no status is good: want at least one, as in 2xx")
	}
	if text := s.Answers.ShedHeader; text != "" {
		r.name, r.value, r.hasValue = strings.Cut(text, "=")
		if err := header(r.name, r.value); err != nil {
			return nil, bad("answers.shed_header", "%q: want NAME or NAME=VALUE", text)
		}
		r.HeaderMatters = true
	}
	return r, nil
}

// statuses are the statuses that a word names: of HTTP from 100 on, of gRPC below.
func statuses(word string) (low, high int, err error) {
	if i := slices.Index(Codes, word); i >= 0 {
		return i, i, nil
	}
	if class, ok := strings.CutSuffix(word, "xx"); ok && len(class) == 1 && class >= "2" && class <= "5" {
		low = 100 * int(class[0]-'0')
		return low, low + 99, nil
	}
	from, to, is := strings.Cut(word, "-")
	if !is {
		to = from
	}
	low, err = strconv.Atoi(from)
	if err == nil {
		high, err = strconv.Atoi(to)
	}
	if err != nil || low < 200 || high > 599 || low > high {
		return 0, 0, fmt.Errorf("%q: no answer has such a status: want a code of 200 to 599, a class as 2xx, a range as 500-599, or a name as UNAVAILABLE", word)
	}
	return low, high, nil
}

// HTTP returns the outcome of an answer with a status of HTTP. header looks up a header of the answer.
func (r *Rules) HTTP(status int, header func(name string) string) queue.Outcome {
	if r.HeaderMatters && r.shed(header) {
		return queue.Shed
	}
	if status < 0 || status >= len(r.http) {
		return queue.Failed
	}
	return r.http[status]
}

// Code returns the outcome of an answer with a code of gRPC.
func (r *Rules) Code(code int, header func(name string) string) queue.Outcome {
	if r.HeaderMatters && r.shed(header) {
		return queue.Shed
	}
	if code < 0 || code >= len(r.codes) {
		return queue.Failed
	}
	return r.codes[code]
}

func (r *Rules) shed(header func(name string) string) bool {
	got := header(r.name)
	return got != "" && (!r.hasValue || got == r.value)
}
