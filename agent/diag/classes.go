package diag

import (
	"slices"
	"time"
)

// Code is a diagnosis class. The names are those of diagnosis_classes and are
// the same everywhere: code, wire, files, text keys.
type Code string

// Classes lists every Code, in the order of causes.yaml.
var Classes = []Code{
	Arrears, OverQuota, AdminSuspended, ExpiredOrCancelled, SuspendedUnspecified,
	SIMAbsent, SIMFault, SIMLocked, WeakSignal, NoCoverage, AntennaFault,
	CarrierOutage, Congestion, APNConfig, AuthConfig, RATBandConfig, IMEILock,
	RoamingBarred, ModemOffOrAirplane, ModemFault, DataBlackHole,
	CloudUnreachable, DialerDown, Healthy, Ambiguous,
}

// The diagnosis classes.
const (
	Arrears              Code = "arrears"
	OverQuota            Code = "over_quota"
	AdminSuspended       Code = "admin_suspended"
	ExpiredOrCancelled   Code = "expired_or_cancelled"
	SuspendedUnspecified Code = "suspended_unspecified"
	SIMAbsent            Code = "sim_absent"
	SIMFault             Code = "sim_fault"
	SIMLocked            Code = "sim_locked"
	WeakSignal           Code = "weak_signal"
	NoCoverage           Code = "no_coverage"
	AntennaFault         Code = "antenna_fault"
	CarrierOutage        Code = "carrier_outage"
	Congestion           Code = "congestion"
	APNConfig            Code = "apn_config"
	AuthConfig           Code = "auth_config"
	RATBandConfig        Code = "rat_band_config"
	IMEILock             Code = "imei_lock"
	RoamingBarred        Code = "roaming_barred"
	ModemOffOrAirplane   Code = "modem_off_or_airplane"
	ModemFault           Code = "modem_fault"
	DataBlackHole        Code = "data_black_hole"
	CloudUnreachable     Code = "cloud_unreachable"
	DialerDown           Code = "dialer_down"
	Healthy              Code = "healthy"
	Ambiguous            Code = "ambiguous"
)

// Who has to do something about a class.
const (
	Owner      = "owner"
	Technician = "technician"
	Operator   = "operator"
	Backend    = "backend"
	Nobody     = "nobody"
)

// A ClassRow is what is fixed about one class.
type ClassRow struct {
	Who string
	// Hold is how long a fault must stand before anyone hears of it, Clear how long
	// all must be well before it counts as over.
	Hold, Clear time.Duration
	// Layers whose failure the class can explain. A class that a higher layer's
	// fault would be is masked below it; those that rest on news which never
	// crossed the radio (a platform's word, a message) are not.
	Layers []Layer
}

// ClassTable has one row a class.
var ClassTable = map[Code]ClassRow{
	Arrears: {Who: Owner, Hold: 60 * time.Second, Clear: 60 * time.Second,
		Layers: []Layer{LayerRadio, LayerRegistration, LayerSession, LayerPath, LayerService}},
	OverQuota: {Who: Owner, Hold: 60 * time.Second, Clear: 60 * time.Second,
		Layers: []Layer{LayerRadio, LayerRegistration, LayerSession, LayerPath, LayerService}},
	AdminSuspended: {Who: Owner, Hold: 60 * time.Second, Clear: 60 * time.Second,
		Layers: []Layer{LayerRadio, LayerRegistration, LayerSession, LayerPath, LayerService}},
	ExpiredOrCancelled: {Who: Owner, Hold: 60 * time.Second, Clear: 60 * time.Second,
		Layers: []Layer{LayerRadio, LayerRegistration, LayerSession, LayerPath, LayerService}},
	// A core that restarts refuses everybody for some minutes.
	SuspendedUnspecified: {Who: Owner, Hold: 10 * time.Minute, Clear: 60 * time.Second},
	SIMAbsent: {Who: Technician, Hold: 15 * time.Second, Clear: 10 * time.Second,
		Layers: []Layer{LayerSIM}},
	SIMFault: {Who: Technician, Hold: 10 * time.Second, Clear: 30 * time.Minute,
		Layers: []Layer{LayerSIM, LayerRadio, LayerRegistration}}, // to raise: its three flips took their time already
	SIMLocked: {Who: Technician, Hold: 10 * time.Second, Clear: 10 * time.Second,
		Layers: []Layer{LayerSIM}},
	WeakSignal: {Who: Technician, Hold: 60 * time.Second, Clear: 60 * time.Second,
		Layers: []Layer{LayerRadio, LayerRegistration, LayerSession, LayerPath, LayerService}},
	NoCoverage: {Who: Technician, Hold: 120 * time.Second, Clear: 60 * time.Second,
		Layers: []Layer{LayerRadio, LayerRegistration}},
	AntennaFault: {Who: Technician, Hold: 120 * time.Second, Clear: 120 * time.Second,
		Layers: []Layer{LayerRadio, LayerRegistration, LayerPath}},
	CarrierOutage: {Who: Operator, Hold: 180 * time.Second, Clear: 5 * time.Minute,
		Layers: []Layer{LayerRadio, LayerRegistration, LayerSession, LayerPath, LayerService}},
	Congestion: {Who: Nobody, Hold: 60 * time.Second, Clear: 2 * time.Minute,
		Layers: []Layer{LayerRadio, LayerRegistration, LayerSession, LayerPath}},
	APNConfig: {Who: Technician, Hold: 60 * time.Second, Clear: 30 * time.Second,
		Layers: []Layer{LayerRadio, LayerRegistration, LayerSession, LayerPath}},
	AuthConfig: {Who: Technician, Hold: 60 * time.Second, Clear: 30 * time.Second,
		Layers: []Layer{LayerRegistration, LayerSession}},
	RATBandConfig: {Who: Technician, Hold: 120 * time.Second, Clear: 60 * time.Second,
		Layers: []Layer{LayerModem, LayerRadio, LayerRegistration, LayerSession}},
	IMEILock: {Who: Owner, Hold: 120 * time.Second, Clear: 60 * time.Second,
		Layers: []Layer{LayerRadio, LayerRegistration, LayerSession, LayerPath}},
	RoamingBarred: {Who: Owner, Hold: 120 * time.Second, Clear: 60 * time.Second,
		Layers: []Layer{LayerRadio, LayerRegistration, LayerSession}},
	ModemOffOrAirplane: {Who: Technician, Hold: 30 * time.Second, Clear: 10 * time.Second,
		Layers: []Layer{LayerPort, LayerModem}},
	ModemFault: {Who: Technician, Hold: 10 * time.Second, Clear: 60 * time.Second,
		Layers: []Layer{LayerPort, LayerModem, LayerSIM, LayerRadio, LayerRegistration, LayerSession, LayerPath}},
	DataBlackHole: {Who: Operator, Hold: 60 * time.Second, Clear: 60 * time.Second,
		Layers: []Layer{LayerSession, LayerPath, LayerService}}, // to raise: and three probe rounds before
	CloudUnreachable: {Who: Backend, Hold: 60 * time.Second, Clear: 30 * time.Second,
		Layers: []Layer{LayerPath, LayerService}},
	// A dialer that works has redialled within the hold.
	DialerDown: {Who: Technician, Hold: 90 * time.Second, Clear: 10 * time.Second,
		Layers: []Layer{LayerSession}},
	Healthy:   {Who: Nobody},
	Ambiguous: {Who: Technician, Hold: 3 * time.Minute, Clear: 30 * time.Second},
}

// possible lists the classes that can explain a failure of each layer, from the table.
var possible = func() map[Layer][]Code {
	m := map[Layer][]Code{}
	for _, c := range Classes {
		for _, l := range ClassTable[c].Layers {
			m[l] = append(m[l], c)
		}
	}
	return m
}()

// members of the subscription-stop group, in the order of causes.yaml.
var members = []Code{Arrears, OverQuota, AdminSuspended, ExpiredOrCancelled}

// suspendedGroup is the word for the four members in the table.
const suspendedGroup = "suspended"

// StopGroup are the classes of one stopped subscription: going from one to
// another refines the verdict, it is not a new fault.
var StopGroup = append(slices.Clone(members), SuspendedUnspecified)

// SameFamily reports whether a and b are the same fault, or one stopped
// subscription said more or less precisely.
func SameFamily(a, b Code) bool {
	return a == b || slices.Contains(StopGroup, a) && slices.Contains(StopGroup, b)
}
