package install

import (
	"net/http"
	"testing"
)

// A portal's redirect names the subscriber behind its host.
func TestPortalIsToldByItsHostAlone(t *testing.T) {
	for location, want := range map[string]string{
		"http://portal.example/?msisdn=13900000042": `status 302 to "portal.example"`,
		"/login?imsi=460009988776655":               "status 302 to no host",
		"://":                                       "status 302 to no host",
	} {
		_, err := answered(&http.Response{StatusCode: 302, Header: http.Header{"Location": {location}}}, 0)
		if err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", location, err, want)
		}
	}
	if got := told("https://host/site/m.json?ticket=x"); got != "https://host/site/m.json" {
		t.Errorf("told %s", got)
	}
}
