package diag

// possible lists the classes that can explain a failure of a layer. The classes
// of a higher layer are consequences there and are masked; those that rest on
// news which never crossed the radio (a platform's word, an SMS) stay.
var possible = map[Layer][]Code{
	LayerPort:         {ModemFault, ModemOffOrAirplane},
	LayerModem:        {ModemFault, ModemOffOrAirplane, RATBandConfig},
	LayerSIM:          {SIMAbsent, SIMFault, SIMLocked, ModemFault},
	LayerRadio:        {NoCoverage, WeakSignal, AntennaFault, RATBandConfig, CarrierOutage, RoamingBarred, Congestion, Arrears, OverQuota, AdminSuspended, ExpiredOrCancelled, ModemFault, SIMFault, IMEILock, APNConfig},
	LayerRegistration: {Arrears, OverQuota, AdminSuspended, ExpiredOrCancelled, IMEILock, RoamingBarred, RATBandConfig, APNConfig, AuthConfig, CarrierOutage, Congestion, NoCoverage, WeakSignal, AntennaFault, SIMFault, ModemFault},
	LayerSession:      {Arrears, OverQuota, AdminSuspended, ExpiredOrCancelled, IMEILock, RoamingBarred, APNConfig, AuthConfig, CarrierOutage, Congestion, RATBandConfig, WeakSignal, ModemFault, DataBlackHole},
	LayerPath:         {DataBlackHole, Arrears, OverQuota, AdminSuspended, ExpiredOrCancelled, IMEILock, APNConfig, CarrierOutage, Congestion, WeakSignal, AntennaFault, CloudUnreachable, ModemFault},
	LayerService:      {CloudUnreachable, DataBlackHole, Arrears, OverQuota, AdminSuspended, ExpiredOrCancelled, CarrierOutage, WeakSignal},
}

// whoActs is domain.md's table: who has to do something about each class.
var whoActs = map[Code]string{
	Arrears: "owner", OverQuota: "owner", AdminSuspended: "owner", ExpiredOrCancelled: "owner",
	SuspendedUnspecified: "owner", IMEILock: "owner",
	SIMAbsent: "technician", SIMFault: "technician", SIMLocked: "technician", WeakSignal: "technician",
	NoCoverage: "technician", AntennaFault: "technician", ModemOffOrAirplane: "technician", ModemFault: "technician",
	RATBandConfig: "technician", APNConfig: "technician", AuthConfig: "technician",
	CarrierOutage: "operator", Congestion: "nobody", DataBlackHole: "operator", RoamingBarred: "owner",
	CloudUnreachable: "backend", Healthy: "nobody", Ambiguous: "technician",
}

// Who says who acts on a class: owner, technician, operator, backend, nobody.
func Who(c Code) string { return whoActs[c] }

// Code is a diagnosis class. The names are those of diagnosis_classes and are
// the same everywhere: code, wire, files, text keys.
type Code string

// Classes lists every Code, in the order of causes.yaml.
var Classes = []Code{
	Arrears, OverQuota, AdminSuspended, ExpiredOrCancelled, SuspendedUnspecified,
	SIMAbsent, SIMFault, SIMLocked, WeakSignal, NoCoverage, AntennaFault,
	CarrierOutage, Congestion, APNConfig, AuthConfig, RATBandConfig, IMEILock,
	RoamingBarred, ModemOffOrAirplane, ModemFault, DataBlackHole,
	CloudUnreachable, Healthy, Ambiguous,
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
	Healthy              Code = "healthy"
	Ambiguous            Code = "ambiguous"
)

// members of the subscription-stop group, in the order of causes.yaml.
var members = []Code{Arrears, OverQuota, AdminSuspended, ExpiredOrCancelled}

// suspendedGroup is the word for the four members in the table.
const suspendedGroup = "suspended"
