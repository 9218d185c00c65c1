package web

import (
	"slices"

	"cellwarden/agent/diag"
	"cellwarden/agent/localapi"
	"cellwarden/agent/text"
)

// deed is one button: what a technician can say that he did.
type deed struct {
	What string `json:"what"`
	Text string `json:"text"`
}

// fitting is the deed that a class most often ends with; its button comes first.
var fitting = map[diag.Code]string{
	diag.Arrears: "bill_paid", diag.OverQuota: "bill_paid", diag.AdminSuspended: "bill_paid", diag.ExpiredOrCancelled: "card_changed",
	diag.SuspendedUnspecified: "bill_paid", diag.SIMAbsent: "card_reseated", diag.SIMFault: "card_reseated", diag.SIMLocked: "card_changed",
	diag.WeakSignal: "antenna_replaced", diag.AntennaFault: "antenna_replaced", diag.NoCoverage: "moved", diag.IMEILock: "card_changed",
	diag.ModemFault: "modem_restarted", diag.ModemOffOrAirplane: "modem_restarted", diag.DialerDown: "dialer_restarted", diag.APNConfig: "dialer_restarted",
	diag.AuthConfig: "dialer_restarted", diag.DataBlackHole: "modem_restarted",
}

// usual are the deeds that have a button in any case, in this order.
var usual = []string{"card_reseated", "bill_paid", "antenna_replaced", "dialer_restarted"}

func deeds(lang text.Lang, class diag.Code) []deed {
	order := slices.Clone(usual)
	if first := fitting[class]; first != "" {
		order = append([]string{first}, slices.DeleteFunc(order, func(d string) bool { return d == first })...)
	}
	var out []deed
	for _, d := range order {
		if slices.Contains(localapi.Deeds, d) {
			out = append(out, deed{d, text.T(lang, "deed."+d)})
		}
	}
	return out
}
