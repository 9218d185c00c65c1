// Package profile says how one family of modems differs from what 3GPP
// specifies: how it is recognised, which commands answer which question, what
// to set at start, what it says unasked, and what must never be sent to it.
//
// A profile is one TOML file and holds no logic: commands are named, and the
// parsers of package threegpp recognise the answers by themselves. Every
// profile stands on 3gpp.toml, the ground: a question that a family's file does
// not answer is asked the 3GPP way, and Table says so. Files hold only facts
// that a manual, a capture or a maintained driver shows; the file names it.
//
// The package is pure: it reads an fs.FS that it is given, or its own files.
package profile

import (
	"regexp"
	"slices"
	"strings"
	"time"
)

// A Query is a question that can be put to a modem, whatever its make.
type Query string

// The queries.
const (
	Identify      Query = "identify"      // manufacturer, model, firmware
	Functionality Query = "functionality" // +CFUN: is the radio on
	SIM           Query = "sim"           // +CPIN
	Presence      Query = "presence"      // the card-detect pin
	ICCID         Query = "iccid"
	IMSI          Query = "imsi"
	IMEI          Query = "imei"
	Registration  Query = "registration" // with reject causes where told
	Operator      Query = "operator"     // +COPS?, never a scan
	Radio         Query = "radio"        // levels
	Cell          Query = "cell"         // serving cell and whether it serves us
	Attach        Query = "attach"
	Contexts      Query = "contexts"  // which sessions are up
	Addresses     Query = "addresses" // and their addresses
	APN           Query = "apn"
	Error         Query = "error"   // the last failure in the modem's words
	Backoff       Query = "backoff" // a timer that the network imposed
	Locks         Query = "locks"   // cell, band and RAT locks
	Counters      Query = "counters"
	Temperature   Query = "temperature" // and supply
	SMS           Query = "sms"
	Slot          Query = "slot" // the card slot in use
	PCO           Query = "pco"  // operator-specific protocol configuration options
	Clock         Query = "clock"
)

// Queries lists all of them, in the order of a full poll: functionality first,
// since other fields are stale while the radio is off; then card, registration,
// radio, session.
var Queries = []Query{
	Functionality, SIM, Presence, ICCID, IMSI, IMEI, Registration, Operator, Radio, Cell,
	Attach, Contexts, Addresses, APN, Error, Backoff, Locks, Counters, Temperature, Clock, SMS, Slot, PCO, Identify,
}

// Known reports whether q is one of Queries.
func (q Query) Known() bool { return slices.Contains(Queries, q) }

// Limits on what a file may ask for.
const (
	// DefaultTimeout suits commands that a modem answers from memory.
	DefaultTimeout = 5 * time.Second
	// maxTimeout: nothing in a poll may take longer; a scan would, and is not allowed.
	maxTimeout = 75 * time.Second
	// maxCommands bounds one question.
	maxCommands = 8
)

// A Recipe answers one Query.
type Recipe struct {
	Commands []string // with their AT
	// Any: the commands are alternatives, asked until one is accepted.
	Any     bool
	Timeout time.Duration // for each command
	Ground  bool          // this is the 3GPP way, the family's own is not documented
	Note    string
}

// A Step is one setting made at start and again after the modem restarts. Its
// tries are asked in order until one is accepted; a modem that refuses all is
// noted, not dropped.
type Step struct {
	Name  string
	Tries []string // with their AT
	Why   string
	// Ask, where not "", is a read; the step is left out when a line of its
	// answer matches Unless.
	Ask    string
	Unless *regexp.Regexp
}

// Match recognises a family. Empty patterns match all; at least one is set.
type Match struct{ Manufacturer, Model, Revision *regexp.Regexp }

// Identity is what a modem says of itself: +CGMI, +CGMM, +CGMR.
type Identity struct{ Manufacturer, Model, Revision string }

// A Profile is one family.
type Profile struct {
	Name     string // "quectel-ec2x", also the name of its file
	Title    string
	Families []string // model names as sold
	Sources  []string
	Notes    []string
	Match    Match
	Examples []Identity // identities that this profile, and no other, matches
	Init     []Step     // the ground's first
	Recipes  map[Query]Recipe
	URCs     []string            // names that lead unsolicited lines of this family
	Banners  []string            // lines that announce a restart
	Finals   []string            // further final results, all of failure
	Answers  map[string][]string // foreign names inside a command's answer
	Never    []string            // commands not to send to it, each with its reason after " # "
	// Unseen are those of URCs, banners and the examples' models that no capture
	// and no manual here shows: they are from lists and drivers.
	Unseen []string
	File   string
}

// Matches reports whether id is of this family.
func (p *Profile) Matches(id Identity) bool {
	m := p.Match
	if m.Manufacturer == nil && m.Model == nil && m.Revision == nil {
		return false
	}
	ok := func(re *regexp.Regexp, s string) bool { return re == nil || re.MatchString(strings.TrimSpace(s)) }
	return ok(m.Manufacturer, id.Manufacturer) && ok(m.Model, id.Model) && ok(m.Revision, id.Revision)
}

// Own lists the queries that the family answers in its own documented way.
func (p *Profile) Own() []Query {
	var own []Query
	for _, q := range Queries {
		if r, ok := p.Recipes[q]; ok && !r.Ground {
			own = append(own, q)
		}
	}
	return own
}

// Ground names the profile that all stand on.
const Ground = "3gpp"

// A Set is all profiles that are known.
type Set struct{ list []*Profile } // the ground first, then by name

// All returns the profiles, the ground first, then by name.
func (s *Set) All() []*Profile { return slices.Clone(s.list) }

// Get returns a profile by name.
func (s *Set) Get(name string) (*Profile, bool) {
	for _, p := range s.list {
		if p.Name == name {
			return p, true
		}
	}
	return nil, false
}

// For returns the profile that matches id, the ground when none does.
func (s *Set) For(id Identity) *Profile {
	for _, p := range s.list[1:] {
		if p.Matches(id) {
			return p
		}
	}
	return s.list[0]
}

// Banners is the union over all profiles: a restart is recognised before the
// modem has said what it is.
func (s *Set) Banners() []string {
	var all []string
	for _, p := range s.list {
		all = append(all, p.Banners...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Answers is the union over all profiles.
func (s *Set) Answers() map[string][]string {
	all := map[string][]string{}
	for _, p := range s.list {
		for cmd, names := range p.Answers {
			all[cmd] = append(all[cmd], names...)
		}
	}
	return all
}

// Items are what the table tells of each family: the question, or for a reject
// cause also the lines that bring it unasked.
var Items = []struct {
	Name  string
	Query Query
	URCs  []string
}{
	{Name: "presence", Query: Presence},
	{Name: "cell", Query: Cell},
	{Name: "signal", Query: Radio},
	{Name: "reject", Query: Error, URCs: []string{"^REJINFO", "+CNEC_EMM"}},
	{Name: "session", Query: Contexts},
	{Name: "bytes", Query: Counters},
	{Name: "temp", Query: Temperature},
	{Name: "slot", Query: Slot},
	{Name: "pco", Query: PCO},
}

// How a question is answered.
const (
	HowOwn     = "own"  // in the family's own documented way
	HowGround  = "3gpp" // the family documents none: the 3GPP way
	HowUnknown = "-"    // neither documents one, or the family says that it has none: not asked
)

// How says, for each of Items, how it is answered.
func (p *Profile) How() []string {
	var how []string
	for _, i := range Items {
		r, ok := p.Recipes[i.Query]
		own := ok && !r.Ground
		for _, u := range i.URCs {
			own = own || slices.Contains(p.URCs, u)
		}
		switch {
		case own && p.Name != Ground:
			how = append(how, HowOwn)
		case ok:
			how = append(how, HowGround)
		default:
			how = append(how, HowUnknown)
		}
	}
	return how
}

// A Row is one line of the table of profiles.
type Row struct {
	Name, Title string
	Families    []string
	Own         []Query  // answered as the family documents; all else the 3GPP way
	How         []string // beside Items
	Unseen      []string // see Profile
	Sources     []string
	File        string
}

// Table lists the profiles for people.
func (s *Set) Table() []Row {
	var rows []Row
	for _, p := range s.list {
		rows = append(rows, Row{p.Name, p.Title, p.Families, p.Own(), p.How(), p.Unseen, p.Sources, p.File})
	}
	return rows
}

// Table lists the built-in profiles.
func Table() []Row {
	s, err := Builtin()
	if err != nil {
		return nil // a test reads every built-in file
	}
	return s.Table()
}
