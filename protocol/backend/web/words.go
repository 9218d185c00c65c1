package web

import (
	"fmt"
	"strings"
	"time"

	"cellwarden/protocol/backend/webhook"
)

// words are those of the page: English, Chinese.
var words = map[string][2]string{
	"title":        {"Fleet", "机队"},
	"lost_hour":    {"Lost per hour", "每小时损失"},
	"lost_today":   {"Lost today", "今日损失"},
	"heard":        {"heard", "在线"},
	"silent":       {"silent", "失联"},
	"explained":    {"explained", "已知原因"},
	"never":        {"never seen", "从未上线"},
	"last_message": {"last message", "最近一条消息"},
	"ago":          {"%s ago", "%s前"},
	"none_yet":     {"none yet", "暂无"},
	"stale": {"Nothing has come in for a while: these figures may be old. See to the receiver and the broker.",
		"已有一段时间没有新消息，下面的数字可能已过时。请检查接收服务和消息服务器。"},
	"must_act":    {"Who must act", "谁来处理"},
	"pay":         {"Pay or change the plan", "缴费或调整套餐"},
	"visit":       {"Visit", "上门处理"},
	"ask":         {"Ask the operator", "联系运营商"},
	"wait":        {"Wait", "等待恢复"},
	"us":          {"See to our own side", "检查我方平台"},
	"nobody":      {"Nobody", "无需处理"},
	"until":       {"until %s", "预计 %s 恢复"},
	"machines":    {"%d machines", "%d 台"},
	"machine1":    {"1 machine", "1 台"},
	"per_hour":    {"%s/h", "%s/小时"},
	"estimated":   {"estimated: sales of some machines are not known", "估算值：部分机器的销售额未知"},
	"since":       {"since %s", "自 %s"},
	"confirmed":   {"confirmed", "已确认"},
	"likely":      {"likely", "很可能"},
	"undecided":   {"undecided", "待定"},
	"nothing":     {"Nothing stands.", "没有待处理的故障。"},
	"running_out": {"Running out this week", "本周流量将用尽"},
	"undecided_h": {"Undecided, and the check that decides", "原因待定，以及如何确定"},
	"weak":        {"Unstable or weak", "信号弱或时断时续"},
	"used_of":     {"%s of %s", "已用 %s / 共 %s"},
	"platforms":   {"SIM platforms", "物联卡平台"},
	"asked":       {"asked %s ago", "%s前查询"},
	"sure":        {"%d %%", "可能性 %d%%"},
	"outages":     {"Outages", "运营商故障"},
	"sites_down":  {"%d of %d sites silent", "%d/%d 个点位失联"},
	"by":          {"search a device", "查找设备"},
	"device":      {"Device", "设备"},
	"card":        {"SIM card", "物联卡"},
	"site":        {"Site", "点位"},
	"signal":      {"Signal", "信号"},
	"data":        {"Data", "流量"},
	"timeline":    {"Timeline", "时间线"},
	"says_itself": {"The machine says", "机器自述"},
	"says_platf":  {"The platform says", "平台状态"},
	"evidence":    {"Evidence", "依据"},
	"candidates":  {"Candidates", "可能原因"},
	"ack":         {"I take it on", "我来处理"},
	"mute":        {"Mute for a day", "静音一天"},
	"assign":      {"Assign to", "指派给"},
	"note":        {"Note", "备注"},
	"save":        {"Save", "保存"},
	"acked":       {"taken on by %s", "%s 正在处理"},
	"muted":       {"muted until %s", "静音至 %s"},
	"assigned":    {"assigned to %s", "已指派给 %s"},
	"login":       {"Log in", "登录"},
	"user":        {"User", "用户名"},
	"password":    {"Password", "密码"},
	"bad_login":   {"User or password is wrong.", "用户名或密码错误。"},
	"logout":      {"Log out", "退出"},
	"all_csv":     {"as CSV", "导出 CSV"},
	"more":        {"more", "更多"},
	"back":        {"Back", "返回"},
	"reliability": {"Said with 80 % and more, right", "把握 80% 以上时的正确率"},
	"too_few":     {"too few to say", "样本太少"},
	"week":        {"Week of %s", "%s 起一周"},
	"probable":    {"Probably", "很可能是"},
	"no_sales":    {"sales not known", "销售额未知"},
	"raw":         {"raw", "原始状态"},
	"lang":        {"中文", "English"},
	"boot":        {"the boot id on return: changed means that the power was gone", "恢复时看是否重新启动过：重新启动说明断过电"},
	"platform":    {"ask the SIM platform for this card", "到物联卡平台查询这张卡"},
	"neighbours":  {"whether others of this operator in the district fall silent", "看同区域同运营商的其他机器是否也失联"},
	"look":        {"look at the machine: is it lit, what does the modem's light show", "到现场看：机器是否有电，通信模块指示灯是什么状态"},
	"logs":        {"the broker's and the receiver's own logs", "查看消息服务器和接收服务的日志"},
	"power":       {"without power", "断电"},
	"device_dead": {"machine dead", "主机故障"},
	"stop":        {"told to stop", "被指令停止"},
	"ours":        {"our own side", "我方平台"},
	"ambiguous":   {"not decided", "尚未确定"},
	"pool":        {"data pool", "流量池"},
}

// states of a card, as a Chinese technician names them.
var states = map[string]string{"test": "测试期", "inventory": "库存", "ready": "待激活", "active": "正常", "suspended": "停机",
	"data_cut": "断网", "pre_cancelled": "预销户",
	"cancelled": "已销户", "unknown": "未知", "none": "无", "quota": "流量用尽", "threshold": "达到自设阈值", "pool": "流量池用尽", "arrears": "欠费", "expiry": "套餐到期",
	"manual": "人工停用", "imei_lock": "机卡分离", "real_name": "未实名", "region_lock": "区域限制", "violation": "违规停机", "lost": "挂失"}

type tongue string

func langOf(s string) tongue {
	if strings.HasPrefix(strings.ToLower(s), "zh") {
		return "zh"
	}
	return "en"
}

func (l tongue) say(key string, args ...any) string {
	w, ok := words[key]
	if !ok {
		return key
	}
	text := w[0]
	if l == "zh" {
		text = w[1]
	}
	if len(args) > 0 {
		return fmt.Sprintf(text, args...)
	}
	return text
}

// class is a cause in words: those of the fleet's own first, then the protocol's.
func (l tongue) class(class, act string) string {
	if _, own := words[class]; own {
		return l.say(class)
	}
	title, _ := webhook.Words(string(l), class, act)
	return title
}

func (l tongue) what(class, act string) string {
	_, what := webhook.Words(string(l), class, act)
	return what
}

func (l tongue) state(s string) string {
	if z := states[s]; l == "zh" && z != "" {
		return z
	}
	return strings.ReplaceAll(s, "_", " ")
}

func (l tongue) count(n int) string {
	if n == 1 {
		return l.say("machine1")
	}
	return l.say("machines", n)
}

// age is how long ago something was, in one unit.
func (l tongue) age(d time.Duration) string {
	type unit struct {
		d      time.Duration
		en, zh string
	}
	for _, u := range []unit{{24 * time.Hour, "d", "天"}, {time.Hour, "h", "小时"}, {time.Minute, "min", "分钟"}} {
		if d >= u.d {
			if l == "zh" {
				return fmt.Sprintf("%d %s", d/u.d, u.zh)
			}
			return fmt.Sprintf("%d %s", d/u.d, u.en)
		}
	}
	s := max(int(d.Seconds()), 0)
	if l == "zh" {
		return fmt.Sprintf("%d 秒", s)
	}
	return fmt.Sprintf("%d s", s)
}

func bytesText(n int64) string {
	switch {
	case n >= 10<<30:
		return fmt.Sprintf("%d GB", n>>30)
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%d KB", n>>10)
}

func money(v float64) string {
	if v >= 100 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.2f", v)
}
