package agent

// settleBlock has the machine's traffic stopped or not, as it shall be. What
// failed is tried again at the next look.
func (l *loop) settleBlock() {
	err := l.block.Settle()
	if err != nil && l.saved["block"] == nil {
		l.log.Error("the machine's traffic is not as the config orders", "error", err)
	}
	l.saved["block"] = err
	l.troubles.file("block", err, l.hw.Now())
}
