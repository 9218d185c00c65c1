package config

import (
	"reflect"
	"testing"

	"github.com/BurntSushi/toml"
)

// decode reads text into the struct without defaults or checks.
func decode(t *testing.T, text string, r *reader, into *Config) {
	t.Helper()
	var tree map[string]any
	if _, err := toml.Decode(text, &tree); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	r.table("", tree, reflect.ValueOf(into).Elem())
}

// emptied turns nil lists and maps into empty ones, as a file has them.
func emptied(c Config) Config {
	v := reflect.ValueOf(&c).Elem()
	for i := range v.NumField() {
		for j := range v.Field(i).NumField() {
			f := v.Field(i).Field(j)
			if f.Kind() == reflect.Slice && f.IsNil() {
				f.Set(reflect.MakeSlice(f.Type(), 0, 0))
			}
			if f.Kind() == reflect.Map && f.IsNil() {
				f.Set(reflect.MakeMap(f.Type()))
			}
		}
	}
	return c
}
