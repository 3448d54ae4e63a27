package scenario

import (
	"fmt"
	"strconv"
	"strings"
)

// The distributions of service times that service_law names beside [LognormalServices] and
// [MeasuredServices].
const (
	FixedServices       = "fixed"       // every service takes its mean
	ExponentialServices = "exponential" // coefficient of variation 1
)

// The beginnings of distributions with a parameter.
const (
	LognormalServices = "lognormal:cv=" // lognormal with that coefficient of variation
	MeasuredServices  = "measured:"     // as measured by the real run in that folder
)

// CV returns the coefficient of variation of lognormal services. ok is false for any other
// distribution.
func (s *Scenario) CV() (cv float64, ok bool) {
	text, ok := strings.CutPrefix(s.ServiceLaw, LognormalServices)
	if !ok {
		return 0, false
	}
	cv, err := strconv.ParseFloat(text, 64)
	return cv, err == nil && cv > 0 && cv <= 100
}

func (s *Scenario) checkServiceLaw() error {
	switch _, lognormal := s.CV(); {
	case lognormal, s.ServiceLaw == "", s.ServiceLaw == FixedServices, s.ServiceLaw == ExponentialServices, len(s.ServiceLaw) > len(MeasuredServices) && strings.HasPrefix(s.ServiceLaw, MeasuredServices):
		return nil
	case strings.HasPrefix(s.ServiceLaw, LognormalServices):
		return Bad("service_law", fmt.Sprintf("%q: cv is out of range: above 0 to 100", s.ServiceLaw))
	}
	return Bad("service_law", fmt.Sprintf("%q: want fixed, exponential, lognormal:cv=NUMBER or measured:FOLDER", s.ServiceLaw))
}
