package config

import (
	"fmt"
	"time"
)

// Update is how the agent may be replaced over the air.
type Update struct {
	RootFile         string   `toml:"root_file"` // "": no updates
	Window           string   `toml:"window"`    // "01:00-05:00", "" is always
	DailyBudgetBytes uint64   `toml:"daily_budget_bytes"`
	UntilPercent     int      `toml:"until_percent"`
	ConfirmAfter     Duration `toml:"confirm_after"`
	ConfirmWithin    Duration `toml:"confirm_within"`
}

// Hours are the minutes of the day at which the window begins and ends; both 0
// where there is none.
func (u Update) Hours() (from, to int, err error) {
	if u.Window == "" {
		return 0, 0, nil
	}
	if len(u.Window) == len("01:00-05:00") && u.Window[5] == '-' {
		a, errA := time.Parse("15:04", u.Window[:5])
		b, errB := time.Parse("15:04", u.Window[6:])
		if errA == nil && errB == nil && !a.Equal(b) {
			return a.Hour()*60 + a.Minute(), b.Hour()*60 + b.Minute(), nil
		}
	}
	return 0, 0, fmt.Errorf("%q is no span of hours", u.Window)
}

func (k *checker) update(u Update) {
	k.absolute("update.root_file", u.RootFile)
	if _, _, err := u.Hours(); err != nil {
		k.add("update.window", err.Error(), `write such as "01:00-05:00", or "" for always`)
	}
	between(k, "update.daily_budget_bytes", u.DailyBudgetBytes, 50_000, 1<<30)
	between(k, "update.until_percent", u.UntilPercent, 1, 100)
	k.between("update.confirm_after", u.ConfirmAfter, 0, time.Hour)
	k.between("update.confirm_within", u.ConfirmWithin, 10*time.Second, 24*time.Hour)
	if u.ConfirmAfter >= u.ConfirmWithin {
		k.add("update.confirm_after", "is not below confirm_within: no update would ever be kept", "lower it", "update.confirm_within")
	}
}
