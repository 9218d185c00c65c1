package record

import (
	"strings"

	"cellwarden/agent/carrier"
	"cellwarden/agent/diag"
	"cellwarden/modem/threegpp"
)

// A Hasher hides an identity while it can still be compared. "" stays "".
type Hasher func(string) string

// maxLine is where a line that no parser knew is cut.
const maxLine = 120

// Mask takes the identities out of an observation so that it is judged as
// before: the subscriber's number keeps its home network, cards and modules
// become their hashes, and a message becomes a sentence that means the same.
func Mask(o diag.Observation, hash Hasher) diag.Observation {
	switch f := o.Fact.(type) {
	case threegpp.ICCID:
		o.Fact = threegpp.ICCID{Value: hash(f.Value)}
	case threegpp.IMEI:
		o.Fact = threegpp.IMEI{Value: hash(f.Value)}
	case threegpp.IMSI:
		home := threegpp.HomePLMN(f.Value)
		if home == "" {
			home = "0"
		}
		o.Fact = threegpp.IMSI{Value: home + strings.Repeat("0", max(0, len(f.Value)-len(home)))}
	case threegpp.SMS:
		if carrier.NeedsText(carrier.Part{From: f.From, Text: f.Text, Parts: f.Parts}) {
			f.Text = carrier.Skeleton(f.Text)
		} else {
			f.Text = sentence[carrier.Classify(f.From, f.Text)]
		}
		f.From = ""
		o.Fact = f
	case threegpp.USSD:
		f.Text = sentence[carrier.Classify("", f.Text)]
		o.Fact = f
	case threegpp.ContextConfig:
		f.AuthHash = hash(f.AuthHash)
		o.Fact = f
	case threegpp.Unparsed:
		f.Line = threegpp.Redact(f.Line)
		if len(f.Line) > maxLine {
			f.Line = strings.ToValidUTF8(f.Line[:maxLine], "")
		}
		o.Fact = f
	case diag.SIMStatusFact:
		f.Status.ICCID = hash(f.Status.ICCID)
		o.Fact = f
	}
	return o
}

// sentence stands for every message of a meaning.
var sentence = map[carrier.Meaning]string{
	carrier.Nothing:       "",
	carrier.Advertisement: "优惠活动，回复TD退订",
	carrier.Warning:       "余额不足，请及时充值",
	carrier.Resumed:       "已恢复通信服务",
	carrier.Outage:        "网络故障，正在抢修",
	carrier.Stop:          "号码已停机",
	carrier.StopArrears:   "因欠费已停机",
	carrier.StopQuota:     "流量已用尽，已停机",
	carrier.StopExpired:   "套餐已到期，已停机",
	carrier.StopAdmin:     "因违规已停机",
	carrier.StopIMEI:      "机卡分离，已停机",
	carrier.Slow:          "流量已用尽，已限速",
}
