package config

import "testing"

func TestLang(t *testing.T) {
	for file, want := range map[string]string{
		"":                        "",
		"[device]\nlang = \"zh\"": "zh",
		"[device] # here\n  lang='zh' # Chinese\n":     "zh",
		"[device]\n#lang = \"zh\"\n":                   "",
		"[log]\nlang = \"zh\"\n":                       "",
		"[device]\nid = \"a\"\n[log]\nlang = \"zh\"\n": "",
		"[device\nlang = = \n[device]\nlang=\"en\"":    "en",
		Example: Default.Device.Lang,
	} {
		if got := Lang(file); got != want {
			t.Errorf("%.40q: %q, want %q", file, got, want)
		}
	}
}
