// Package webhook sends events to customers' servers: signed by Standard Webhooks,
// in the form of CloudEvents or of a chat robot, tried for three days, each customer
// for itself.
package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Secret bounds (Standard Webhooks 1.0.0): 24 to 64 bytes.
const (
	minSecret = 24
	maxSecret = 64
)

// CheckSecret refuses what is no secret of Standard Webhooks: "whsec_" and base64 of
// 24 to 64 bytes.
func CheckSecret(secret string) error {
	_, err := key(secret)
	return err
}

func key(secret string) ([]byte, error) {
	b64, ok := strings.CutPrefix(secret, "whsec_")
	raw, err := base64.StdEncoding.DecodeString(b64)
	if !ok || err != nil || len(raw) < minSecret || len(raw) > maxSecret {
		return nil, errors.New("secret: want whsec_ and base64 of 24 to 64 bytes, as from: echo whsec_$(openssl rand -base64 32)")
	}
	return raw, nil
}

// Sign is the value of webhook-signature: one signature for each secret, with a space
// between, so that secrets can be changed without a gap. ts is in seconds since 1970.
func Sign(id string, ts int64, body []byte, secrets ...string) (string, error) {
	var out []string
	for _, s := range secrets {
		if s == "" {
			continue
		}
		k, err := key(s)
		if err != nil {
			return "", err
		}
		mac := hmac.New(sha256.New, k)
		fmt.Fprintf(mac, "%s.%s.", id, strconv.FormatInt(ts, 10))
		mac.Write(body)
		out = append(out, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	return strings.Join(out, " "), nil
}
