package incident

import (
	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/incident/dns"
	"github.com/leasestorm/leasestorm/bench/incident/services"
	"github.com/leasestorm/leasestorm/lease/dwfm"
)

// Result is the outcome of a replay, as --json prints it. Times that end in _at_s are run time, in
// seconds since 23:30; those that count from elsewhere say so. A nil pointer is null in JSON.
type Result struct {
	Schema     int    `json:"schema"`
	Seed       uint64 `json:"seed"`
	Leases     int    `json:"leases"`
	Partitions int    `json:"partitions"`
	Manager    string `json:"manager"` // queue/admit/retry
	Runbook    string `json:"runbook"`
	DNSMend    string `json:"dns_mend,omitempty"`

	Outage       bool     `json:"outage"`      // the name was without records at some time
	OutageAt     *float64 `json:"outage_at_s"` // the first such time
	OutageLength float64  `json:"outage_s"`    // how long altogether
	ReturnAt     *float64 `json:"return_at_s"` // the name's last return; null: no outage, or no return
	LeasesOut    int      `json:"leases_lost"` // lapsed by the name's return
	LostMost     int      `json:"leases_lost_max"`
	// CollapsedAt is when the managers had collapsed before any action of the operator at them;
	// null: they had not.
	CollapsedAt *float64      `json:"collapsed_at_s"`
	Verdict     bench.Verdict `json:"verdict"`
	// TTR is the time from the name's return until at least 99.9 % of the leases were live, to stay
	// so for 5 timeouts; null: they never were.
	TTR *float64 `json:"ttr_s"`
	// Rescue is the time from the operator's first action at the managers that was followed by the
	// recovery, to that recovery; null: there was none.
	Rescue *float64 `json:"ttr_after_operator_s"`

	LaunchesAsked   uint64  `json:"launches_asked"`
	LaunchesOK      uint64  `json:"launches_ok"`
	NoCapacity      uint64  `json:"launches_insufficient_capacity"`
	LimitExceeded   uint64  `json:"launches_request_limit_exceeded"`
	NoMetadata      uint64  `json:"launches_metadata_failed"`
	LaunchesLate    uint64  `json:"launches_timed_out"`
	StopsAsked      uint64  `json:"stops_asked"`
	StopsFailed     uint64  `json:"stops_failed"` // the metadata could not be written
	RunningAtBegin  int     `json:"running_at_begin"`
	RunningAtEnd    int     `json:"running_at_end"`
	RunningTouched  int     `json:"running_touched"` // always 0: no system of the replay stops an instance
	NetworkBacklog  int     `json:"network_backlog_max"`
	NetworkDelay    float64 `json:"network_delay_max_s"`
	TargetsMin      float64 `json:"targets_in_service_min"`
	Flaps           float64 `json:"target_flaps"`
	ServicesDownMax int     `json:"services_down_max"`

	LeaseHours   float64 `json:"lease_hours_lost"`
	ServiceHours float64 `json:"service_hours_lost"`

	Timeline []Row    `json:"timeline"`
	Events   []Event  `json:"events"` // what DNS did
	Services Services `json:"services"`
	Alerts   []Alert  `json:"alerts"`
	Elapsed  float64  `json:"elapsed_s"` // wall time
	Folder   string   `json:"folder,omitempty"`

	series  []point
	changes []services.Transition
	empty   []dwfm.Window
}

// Services is what became of the services.
type Services struct {
	Down  []Change `json:"down"`  // in the order in which they first went down
	Back  []Change `json:"back"`  // in the order in which they were up for good
	Hands []Hand   `json:"hands"` // circles and services that were restored by hand
	Out   []string `json:"out"`   // not up at the end
}

// Change is a service and a time.
type Change struct {
	Service string  `json:"service"`
	At      float64 `json:"at_s"`
}

// Hand is a restoration by hand.
type Hand struct {
	Services []string `json:"services"`
	Since    float64  `json:"since_s"` // when nothing else was in the way any more
	At       *float64 `json:"at_s"`    // null: no hand came
}

func servicesOf(r services.Report) Services {
	s := Services{Down: []Change{}, Back: []Change{}, Hands: []Hand{}, Out: append([]string{}, r.Out...)}
	for _, m := range r.Down {
		s.Down = append(s.Down, Change{m.Service, m.At.Seconds()})
	}
	for _, m := range r.Back {
		s.Back = append(s.Back, Change{m.Service, m.At.Seconds()})
	}
	for _, h := range r.Hands {
		hand := Hand{Services: h.Services, Since: h.Since.Seconds()}
		if h.At > 0 {
			hand.At = seconds(h.At)
		}
		s.Hands = append(s.Hands, hand)
	}
	return s
}

// Kind says what a row of the timeline is worth as evidence.
type Kind string

// The kinds.
const (
	// Input: the time is given to the replay, as an operator's action is.
	Input Kind = "input"
	// Calibrated: a parameter was chosen so that this comes out.
	Calibrated Kind = "calibrated"
	// Emergent: nothing was chosen for it.
	Emergent Kind = "emergent"
)

// Row is one row of the timeline: what is public beside what the replay gives.
type Row struct {
	Public string   `json:"public"` // clock time, PDT
	What   string   `json:"what"`
	Kind   Kind     `json:"kind"`
	By     string   `json:"calibrated_by,omitempty"`
	Ours   *float64 `json:"ours_at_s"` // null: it did not happen
	Off    *float64 `json:"off_s"`     // ours less the public time
}

// Event is something that happened in the DNS automation.
type Event struct {
	At      float64 `json:"at_s"` // negative: before 23:30
	What    string  `json:"what"`
	Enactor string  `json:"enactor"` // A, B or C; empty: the operator
	Plan    int     `json:"plan"`
}

func eventsOf(y *dns.System) []Event {
	all := []Event{}
	for _, e := range y.Events() {
		one := Event{At: e.At.Seconds(), What: e.What, Plan: e.Plan}
		if e.Enactor >= 0 {
			one.Enactor = dns.Letter(e.Enactor)
		}
		all = append(all, one)
	}
	return all
}

// Alert is one alert rule: when it would have fired, and when the people of that day knew.
type Alert struct {
	Name    string   `json:"name"`
	FiresAt *float64 `json:"fires_at_s"` // null: it stays silent
	Knew    string   `json:"known"`      // clock time, PDT
	Earlier *float64 `json:"earlier_s"`  // how much earlier the alert is
}
