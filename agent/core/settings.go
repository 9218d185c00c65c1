package core

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"cellwarden/agent/diag"
	"cellwarden/agent/meter"
	"cellwarden/protocol"
)

// Bounds of what a config command may set: the same as the config file's.
const (
	SettingMin = time.Minute
	SettingMax = 7 * 24 * time.Hour
	HoldMax    = 24 * time.Hour
)

// fileSettings are what the config file says of the keys that a config command
// may set: where a reset leads back to.
type fileSettings struct {
	report, probes time.Duration
	holds          map[diag.Code]time.Duration
}

// parsedSettings are Settings after all checks; nil fields are not set.
type parsedSettings struct {
	report, probes *time.Duration
	holds          map[diag.Code]time.Duration
}

func parseSettings(s protocol.Settings) (out parsedSettings, err error) {
	if out.report, err = settingTime("uplink.report_every", s.ReportEvery, SettingMin, SettingMax); err != nil {
		return out, err
	}
	if out.probes, err = settingTime("probes.interval", s.ProbeEvery, SettingMin, SettingMax); err != nil {
		return out, err
	}
	out.holds = map[diag.Code]time.Duration{}
	for _, class := range slices.Sorted(maps.Keys(s.Hold)) {
		if diag.ClassTable[diag.Code(class)].Hold == 0 {
			return out, fmt.Errorf("diag.hold: %.32q is not a class", class)
		}
		d, err := settingTime("diag.hold."+class, s.Hold[class], 0, HoldMax)
		if err != nil {
			return out, err
		}
		if d == nil {
			return out, fmt.Errorf("diag.hold.%s: is empty; write such as 5m", class)
		}
		out.holds[diag.Code(class)] = *d
	}
	if s.Plan != nil {
		err = meter.CheckPlan(*s.Plan)
	}
	return out, err
}

func settingTime(key, value string, least, most time.Duration) (*time.Duration, error) {
	if value == "" {
		return nil, nil
	}
	d, err := time.ParseDuration(value)
	if err != nil {
		return nil, fmt.Errorf("%s: %.32q is not a duration; write such as 30m", key, value)
	}
	if d < least || d > most {
		return nil, fmt.Errorf("%s: %s is not between %s and %s", key, d, least, most)
	}
	return &d, nil
}

// configure carries out a config command: all of it or nothing, at once, and kept
// over restarts. It comes after the signature was judged; without a key in the
// device's own config nobody could be trusted with this.
func (c *Core) configure(cmd protocol.Command) {
	err := c.configureFrom(cmd.Args)
	if err != nil {
		c.refuse(cmd, err)
		return
	}
	c.emit(Log{LevelInfo, "settings changed by command", []any{"id", cmd.ID}})
	c.reply(cmd.ID, nil, c.settings)
}

func (c *Core) configureFrom(args json.RawMessage) error {
	if len(c.opt.Keys) == 0 {
		return errors.New("a config command must be signed, and this device's config has no uplink.command_keys")
	}
	if len(args) == 0 {
		return errors.New("args are missing")
	}
	dec := json.NewDecoder(bytes.NewReader(args))
	dec.DisallowUnknownFields()
	var in protocol.ConfigArgs
	if err := dec.Decode(&in); err != nil {
		return fmt.Errorf("args: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return errors.New("args: something follows the object")
	}
	next := c.settings
	if in.Reset {
		next = protocol.Settings{}
	}
	if in.ReportEvery != "" {
		next.ReportEvery = in.ReportEvery
	}
	if in.ProbeEvery != "" {
		next.ProbeEvery = in.ProbeEvery
	}
	if len(in.Hold) > 0 {
		next.Hold = maps.Clone(next.Hold)
		if next.Hold == nil {
			next.Hold = map[string]string{}
		}
		maps.Copy(next.Hold, in.Hold)
	}
	if in.Plan != nil {
		next.Plan = in.Plan
	}
	parsed, err := parseSettings(next)
	if err != nil {
		return err
	}
	old := c.pushedPlan
	if in.Plan != nil || in.Reset {
		c.pushedPlan = next.Plan
		if err := c.applyPlan(); err != nil {
			c.pushedPlan = old
			return err
		}
	}
	next.Plan = nil // kept as the pushed plan, where a plan command puts it too
	c.settings = next
	c.use(parsed)
	c.reportAt = c.now.Mono + c.rarer(c.opt.ReportEvery)
	if !c.probes.doubt && c.probes.at != farAway {
		c.probes.at = c.now.Mono + c.stretch(c.probes.every)
	}
	return nil
}

// use puts settings in force over the config file's.
func (c *Core) use(s parsedSettings) {
	c.opt.ReportEvery, c.opt.ProbeEvery = c.file.report, c.file.probes
	if s.report != nil {
		c.opt.ReportEvery = *s.report
	}
	if s.probes != nil {
		c.opt.ProbeEvery = *s.probes
	}
	c.probes.every = c.opt.ProbeEvery
	c.opt.Holds = maps.Clone(c.file.holds)
	if c.opt.Holds == nil {
		c.opt.Holds = map[diag.Code]time.Duration{}
	}
	maps.Copy(c.opt.Holds, s.holds)
}

// useKept puts the kept settings in force. What this version no longer accepts is
// dropped as a whole: the file's settings are good.
func (c *Core) useKept() {
	c.file = fileSettings{c.opt.ReportEvery, c.opt.ProbeEvery, c.opt.Holds}
	parsed, err := parseSettings(c.settings)
	if err != nil {
		c.settings = protocol.Settings{}
		parsed = parsedSettings{}
	}
	c.use(parsed)
}
