package protocol

import "fmt"

// UpdateArgs are the args of an "update" command: where the signed manifest lies.
// Now does not wait for the hours of the config's update.window; the byte budget
// holds all the same. Again takes a version that was tried once and given up.
type UpdateArgs struct {
	URL   string `json:"url"`             // of the signed manifest
	Now   bool   `json:"now,omitempty"`   // do not wait for update.window
	Again bool   `json:"again,omitempty"` // also a version that was taken back
}

// Update tells how an update goes. Code is set where State is waiting, refused
// or rolled_back: one of UpdateCodes.
type Update struct {
	Version string `json:"version,omitempty"` // of the manifest; "" while that is not read
	State   string `json:"state"`             // offered, waiting, fetching, installed, confirmed, refused, rolled_back
	Code    string `json:"code,omitempty"`    // why, where it waits, was refused or taken back: under Offer
	Detail  string `json:"detail,omitempty"`  // English, for logs and backends
	Form    string `json:"form,omitempty"`    // gzip or delta
	Have    int64  `json:"have,omitempty"`    // bytes of the form that are on the flash
	Size    int64  `json:"size,omitempty"`    // bytes of the form
	Runs    string `json:"runs,omitempty"`    // the version that runs now
	Command string `json:"command,omitempty"` // the id of the command that offered it
}

// Why an update is refused, waits or was taken back.
const (
	UpdateOff        = "off"              // the config names no update.root_file
	UpdateBusy       = "busy"             // another one is under way
	UpdateMalformed  = "malformed"        // the document cannot be read
	UpdateTooNew     = "too_new"          // its format is of a later agent
	UpdateSignature  = "signature"        // a signature is wrong
	UpdateFewKeys    = "too_few_keys"     // fewer valid signatures than the root wants
	UpdateRoot       = "root"             // a change of keys that does not follow on ours
	UpdateExpired    = "expired"          // by a trusted clock
	UpdateVersion    = "version"          // not newer than what runs or ran
	UpdateTarget     = "target"           // for another board
	UpdateCPU        = "cpu_level"        // for a higher level of this CPU
	UpdateNoForm     = "no_form"          // nothing in it that fits
	UpdateNoRoom     = "no_room"          // the flash is too full
	UpdateTruncated  = "truncated"        // a file is shorter or longer than signed
	UpdateHash       = "hash"             // a file is not the one that was signed
	UpdateNoResume   = "no_resume"        // the server cannot go on in the middle of a file
	UpdateServer     = "server"           // the server does not give the file
	UpdateNotRun     = "not_runnable"     // the new binary does not run on this board
	UpdateTried      = "tried"            // this version was taken back before
	UpdateStorage    = "storage"          // the flash cannot be written
	UpdateCrashed    = "crashed"          // ended again and again before it was confirmed
	UpdateUnhealthy  = "unhealthy"        // ran and did not reach what the old one reached
	UpdateDamaged    = "damaged"          // its file is not what was written
	UpdateOffPeak    = "wait_window"      // waits for the hours of update.window
	UpdateClock      = "wait_clock"       // waits for a trusted clock
	UpdateQuota      = "wait_quota"       // waits for the next cycle of the plan
	UpdateDayBytes   = "wait_day"         // the day's bytes are used up
	UpdateLine       = "wait_line"        // waits for the line
	UpdateReplacedBy = "package_replaced" // the installed package changed: it runs
)

// UpdateCodes lists every code; a test holds that each has words.
var UpdateCodes = []string{UpdateOff, UpdateBusy, UpdateMalformed, UpdateTooNew, UpdateSignature, UpdateFewKeys, UpdateRoot, UpdateExpired,
	UpdateVersion, UpdateTarget, UpdateCPU, UpdateNoForm, UpdateNoRoom, UpdateTruncated, UpdateHash, UpdateNoResume, UpdateServer,
	UpdateNotRun, UpdateTried, UpdateStorage, UpdateCrashed, UpdateUnhealthy, UpdateDamaged, UpdateOffPeak, UpdateClock, UpdateQuota,
	UpdateDayBytes, UpdateLine, UpdateReplacedBy}

// Refusal is a code with the words for a log.
type Refusal struct {
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

func (r *Refusal) Error() string { return r.Code + ": " + r.Detail }

// Refuse makes a Refusal; the words are printed as by fmt.
func Refuse(code, words string, args ...any) *Refusal {
	return &Refusal{code, fmt.Sprintf(words, args...)}
}
