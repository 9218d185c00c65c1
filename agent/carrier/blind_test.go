package carrier

import (
	"slices"
	"testing"
)

// TestUnseenMessages are texts written before the rules were run on them, in the
// wording of the three operators, of platforms of prepaid cards and of providers
// abroad. A second meaning is given where two readers would differ.
func TestUnseenMessages(t *testing.T) {
	for _, tc := range []struct {
		from, text string
		want       []Meaning
	}{
		{"10086", "【停机提醒】尊敬的用户，截至10月13日20时，您的账户余额为-12.05元，已暂停您的通信服务。请通过中国移动APP充值。", []Meaning{StopArrears}},
		{"10086", "尊敬的客户，您好！您的余额已不足10元，请及时充值，以免停机。中国移动", []Meaning{Warning}},
		{"10086", "温馨提示：尊敬的客户，您的号码因欠费将于今日24时被停机。", []Meaning{Warning}},
		{"10086", "【流量提醒】截至10月14日，您套餐内国内流量已使用80%，剩余2.1GB。", []Meaning{Warning, Nothing}},
		{"10086", "【流量用尽提醒】您好，您本月套餐内的数据流量已全部使用完毕，为保护您的消费权益，已为您暂停上网功能。如需继续使用请回复KTLL。", []Meaning{StopQuota}},
		{"10086", "尊敬的客户，您本月累计流量已达到100GB，根据达量限速规则，您的上网速率已调整为1Mbps。", []Meaning{Slow}},
		{"10086", "您好，您的缴费已到账，金额50元，当前余额48.20元。【中国移动】", []Meaning{Resumed}},
		{"10086", "尊敬的客户，您的停机保号业务已生效，保号费5元/月。", []Meaning{StopAdmin}},
		{"10086", "尊敬的客户，您的号码已恢复开机，感谢使用。", []Meaning{Resumed}},
		{"10086", "系统将于今晚升级，期间充值业务暂停，敬请谅解。", []Meaning{Warning, Nothing, Outage}},
		{"10010", "尊敬的联通用户，您已欠费，为不影响您的使用请及时交费。", []Meaning{Warning}},
		{"10010", "您好，您的号码因欠费被限制呼出，请尽快缴费。", []Meaning{StopArrears, Warning}},
		{"10001", "【国内流量用尽提醒】您本月国内通用流量已用尽，将按5元/GB计费。", []Meaning{Warning}},
		{"10001", "您的物联网卡本月使用流量已超出套餐，系统已自动断网，下月1号00:00自动恢复。", []Meaning{StopQuota}},
		{"10001", "您名下物联网卡因达到月流量断网阈值，于10月12日被断网。", []Meaning{StopQuota}},
		{"10001", "您的物联卡机卡分离状态异常，已停机。", []Meaning{StopIMEI}},
		{"10010", "您好，您的物联网卡已进入停机保号期，请及时续费。", []Meaning{StopAdmin, StopExpired, Stop}},
		{"10010", "您的物联网卡已失效，请更换新卡。", []Meaning{StopExpired}},
		{"1064899000001", "您的物联卡已过有效期，现予以停机，请续费。", []Meaning{StopExpired}},
		{"1064899000001", "您的物联卡因长期未使用，号码已被回收。", []Meaning{StopExpired}},
		{"10086", "您的号码已被停机，原因：违规外呼。", []Meaning{StopAdmin}},
		{"10001", "经核查，您的物联网卡存在异常使用情况，现已关停。", []Meaning{StopAdmin}},
		{"10010", "您的号码未实名登记，将于30日内关停。", []Meaning{Warning}},
		{"10086", "您的物联卡因超出使用区域已停机，请联系客户经理。", []Meaning{StopAdmin}},
		{"1064899000001", "该卡与设备绑定关系不符，数据业务已禁用。", []Meaning{StopIMEI}},
		{"10001", "因未按时缴纳月租，您的物联卡已被冻结。", []Meaning{StopArrears}},
		{"1NCE", "Your SIM has been deactivated because its plan expired on 2026-10-01.", []Meaning{StopExpired}},
		{"2936", "Alert: 80% of your 30MB data plan used.", []Meaning{Warning, Nothing}},
		{"2936", "You have used 100% of your monthly data. Additional data will be charged at 0.10/MB.", []Meaning{Warning, Nothing}},
		{"2936", "Data usage limit exceeded. SIM blocked until 1 Nov.", []Meaning{StopQuota}},
		{"2936", "We could not process your payment. Your service is now paused.", []Meaning{StopArrears}},
		{"2936", "Your service is paused at your request.", []Meaning{StopAdmin}},
		{"2936", "IMEI change detected. Your SIM has been locked.", []Meaning{StopIMEI}},
		{"2936", "Your line has been restored.", []Meaning{Resumed}},
		{"2936", "Planned maintenance tonight 01:00-04:00 may affect data services.", []Meaning{Outage}},
		{"2936", "Top up now and get 2GB free! Reply STOP to opt out.", []Meaning{Advertisement}},
		{"106981234021", "【物联网平台】您的流量池已用尽，池内卡片已停用。", []Meaning{StopQuota}},
		{"106981234021", "【某某云】您的流量卡余额不足，已自动停机。", []Meaning{StopArrears}},
		{"106981234021", "【某某物联】您的设备流量即将耗尽，请及时购买加油包。", []Meaning{Warning}},
		{"106981234021", "【某某物联】您的卡片已解除停机，可正常使用。", []Meaning{Resumed}},
		{"10086", "您的号码停机状态已解除，祝您使用愉快。", []Meaning{Resumed}},
		{"10086", "您的欠费已结清，号码恢复正常。", []Meaning{Resumed}},
		{"10086", "您的停机申请已受理，将于次日生效。", []Meaning{Warning, StopAdmin, Nothing}},
		{"10001", "您的号码当前状态：欠费双停，充值后可恢复使用。", []Meaning{StopArrears}},
		{"10001", "您已成功办理5元300MB加油包，立即生效。", []Meaning{Resumed, Advertisement, Nothing}},
		{"10010", "本月账单已出，应缴32.5元，请于25日前缴纳，逾期将停机并收取违约金。", []Meaning{Warning}},
		{"10086", "您查询的套餐：月租5元，含流量30MB，流量用尽后停止上网。", []Meaning{Nothing, Warning}},
		// What the first run got wrong, turned over: the same words and no stop.
		{"10086", "您的优惠券已失效，请关注后续活动。", []Meaning{Advertisement, Nothing}},
		{"10086", "充值后可解除停机，请尽快缴费。", []Meaning{Warning, Nothing}},
		{"10086", "您的号码已被停机，缴清欠费后可恢复服务。", []Meaning{StopArrears}},
		{"10010", "您的账户余额为0.00元，号码已停机。", []Meaning{StopArrears}},
		{"10010", "您的账户余额为10.00元，号码已停机。", []Meaning{Stop}},
		{"2936", "Your account balance is 0.00. Data service has been disabled. Please top up to restore service.", []Meaning{StopArrears}},
	} {
		if got := Classify(tc.from, tc.text); !slices.Contains(tc.want, got) {
			t.Errorf("%s: %s, want %s", tc.text, got, tc.want)
		}
	}
}
