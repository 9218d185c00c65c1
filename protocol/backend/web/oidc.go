package web

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// OIDC logs in by an identity provider: authorization code with PKCE. A group of the
// claim decides the role.
type OIDC struct {
	verifier *oidc.IDTokenVerifier
	conf     oauth2.Config
	groups   map[string]Grant
	claim    string
}

// A Grant is what members of a group may do.
type Grant struct{ Role, Tenant string }

// OIDCConfig says where the provider is. Groups maps its groups to grants; who is in none
// of them is refused.
type OIDCConfig struct {
	Issuer, ClientID, Secret, Redirect string
	Claim                              string // groups by default
	Groups                             map[string]Grant
}

// NewOIDC asks the issuer for its keys and addresses.
func NewOIDC(ctx context.Context, c OIDCConfig) (*OIDC, error) {
	if c.Claim == "" {
		c.Claim = "groups"
	}
	for g, x := range c.Groups {
		if roles[x.Role] == 0 || x.Tenant == "" {
			return nil, fmt.Errorf("oidc: group %q wants a role and a tenant", g)
		}
	}
	p, err := oidc.NewProvider(ctx, c.Issuer)
	if err != nil {
		return nil, fmt.Errorf("oidc: %w", err)
	}
	return &OIDC{verifier: p.Verifier(&oidc.Config{ClientID: c.ClientID}), groups: c.Groups, claim: c.Claim,
		conf: oauth2.Config{ClientID: c.ClientID, ClientSecret: c.Secret, Endpoint: p.Endpoint(), RedirectURL: c.Redirect,
			Scopes: []string{oidc.ScopeOpenID, "profile", c.Claim}}}, nil
}

// begun is what a login remembers between its two halves, in a cookie.
type begun struct {
	State, Nonce, Verifier string
	Until                  int64
}

const (
	beginCookie = "cw_login"
	beginLife   = 10 * time.Minute
)

func random() string {
	b := make([]byte, 24)
	_, _ = rand.Read(b) // it never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b)
}

func (a *auth) beginOIDC(w http.ResponseWriter, r *http.Request) {
	b := begun{random(), random(), oauth2.GenerateVerifier(), time.Now().Add(beginLife).Unix()}
	a.set(w, beginCookie, a.seal("login", b), beginLife)
	http.Redirect(w, r, a.OIDC.conf.AuthCodeURL(b.State, oidc.Nonce(b.Nonce), oauth2.S256ChallengeOption(b.Verifier)), http.StatusFound)
}

func (a *auth) endOIDC(w http.ResponseWriter, r *http.Request) (User, error) {
	var b begun
	c, err := r.Cookie(beginCookie)
	if err != nil || !a.unseal("login", c.Value, &b) || b.Until < time.Now().Unix() || r.FormValue("state") != b.State {
		return User{}, errors.New("the login was begun elsewhere or too long ago")
	}
	a.set(w, beginCookie, "", -1)
	tok, err := a.OIDC.conf.Exchange(r.Context(), r.FormValue("code"), oauth2.VerifierOption(b.Verifier))
	if err != nil {
		return User{}, errors.New("the provider does not take the code")
	}
	raw, _ := tok.Extra("id_token").(string)
	id, err := a.OIDC.verifier.Verify(r.Context(), raw)
	if err != nil || id.Nonce != b.Nonce {
		return User{}, errors.New("the provider's token is not for this login")
	}
	var claims map[string]any
	if err := id.Claims(&claims); err != nil {
		return User{}, errors.New("the provider's token has no claims")
	}
	u := User{Name: id.Subject, Until: time.Now().Add(sessionLife).Unix()}
	for _, k := range []string{"name", "email", "preferred_username"} {
		if n, ok := claims[k].(string); ok && n != "" {
			u.Name = n
		}
	}
	list, _ := claims[a.OIDC.claim].([]any)
	for g, x := range a.OIDC.groups {
		if slices.Contains(list, any(g)) && roles[x.Role] > roles[u.Role] {
			u.Role, u.Tenant = x.Role, x.Tenant
		}
	}
	if u.Role == "" {
		return User{}, errors.New("none of your groups may see this fleet")
	}
	return u, nil
}
