package main

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"strings"

	"github.com/BurntSushi/toml"

	"cellwarden/protocol"
	"cellwarden/protocol/backend/platform"
	"cellwarden/protocol/backend/receiver"
	"cellwarden/protocol/backend/store"
	"cellwarden/protocol/backend/watch"
	"cellwarden/protocol/backend/web"
)

// fleetFlags are those of the page, of SIM platforms and of the sense of the fleet.
type fleetFlags struct {
	config, open string
}

func (x *fleetFlags) add(f *flag.FlagSet) {
	f.StringVar(&x.config, "fleet", "", "file with SIM platforms and who may log in to the page; see fleet.example.toml")
	f.StringVar(&x.open, "page-open", "", "everybody may use the page with this role (read, act): only where -listen is a loopback address")
}

// fleetConfig is the file of -fleet.
type fleetConfig struct {
	// KeyFile holds an Ed25519 seed (base64, 32 bytes) that signs what goes to devices.
	// Without it commands are not signed.
	KeyFile  string          `toml:"sign_key_file"`
	Platform []platformEntry `toml:"sim_platform"`
	Login    struct {
		UsersFile   string   `toml:"users_file"`
		ProxyHeader string   `toml:"proxy_header"`
		ProxyRole   string   `toml:"proxy_role"`
		Proxies     []string `toml:"proxies"`
		Secure      bool     `toml:"secure"`
		OIDC        struct {
			Issuer     string               `toml:"issuer"`
			ClientID   string               `toml:"client_id"`
			SecretFile string               `toml:"secret_file"`
			Redirect   string               `toml:"redirect"`
			Claim      string               `toml:"claim"`
			Groups     map[string]web.Grant `toml:"groups"`
		} `toml:"oidc"`
	} `toml:"login"`
}

type platformEntry struct {
	watch.Account
	PasswordFile string `toml:"password_file"`
	KeyFile      string `toml:"key_file"`
}

func secretOf(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	raw, err := os.ReadFile(path)
	return strings.TrimSpace(string(raw)), err
}

func readFleet(path string) (c fleetConfig, err error) {
	if path == "" {
		return c, nil
	}
	meta, err := toml.DecodeFile(path, &c)
	if err != nil {
		return c, fmt.Errorf("-fleet: %w", err)
	}
	if bad := meta.Undecoded(); len(bad) > 0 {
		return c, fmt.Errorf("-fleet: %s: %s is not known here", path, bad[0])
	}
	for i := range c.Platform {
		p := &c.Platform[i]
		for file, into := range map[string]func(string){p.PasswordFile: func(s string) { p.Password = platform.Secret(s) },
			p.KeyFile: func(s string) { p.Key = platform.Secret(s) }} {
			if file == "" {
				continue
			}
			text, err := secretOf(file)
			if err != nil {
				return c, fmt.Errorf("-fleet: sim_platform %q: %w", p.Name, err)
			}
			into(text)
		}
	}
	return c, nil
}

// setup adds the page and the watch to a receiver's config. Send is known only when the
// receiver is made, so it comes as a function.
func (x *fleetFlags) setup(ctx context.Context, cfg *receiver.Config, send func(context.Context, string, protocol.Command) error) error {
	c, err := readFleet(x.config)
	if err != nil {
		return err
	}
	login, err := c.login(ctx)
	if err != nil {
		return err
	}
	login.Open = x.open
	if x.open != "" && cfg.Token != "" {
		return errors.New("-page-open: only without a token, on a loopback address")
	}
	if x.open == "" && x.config == "" {
		return nil
	}
	sign, err := c.signer()
	if err != nil {
		return err
	}
	opt := watch.Options{Tenant: cfg.Prefix, Send: send, Sign: sign, Log: cfg.Log}
	for _, p := range c.Platform {
		opt.Accounts = append(opt.Accounts, p.Account)
	}
	if _, err := watch.New(nil, opt); err != nil { // what is wrong in the file is said now
		return err
	}
	cfg.Works = append(cfg.Works, func(ctx context.Context, s *store.Store) {
		w, err := watch.New(s, opt)
		if err != nil {
			cfg.Log.Error("fleet", "error", err.Error())
			return
		}
		w.Run(ctx)
	})
	if !c.anyLogin() && x.open == "" {
		return nil // SIM platforms alone
	}
	if _, err := web.New(nil, web.Options{Tenant: cfg.Prefix, Login: login}); err != nil {
		return err
	}
	cfg.Pages = append(cfg.Pages, func(mux *http.ServeMux, s *store.Store) {
		w, err := web.New(s, web.Options{Tenant: cfg.Prefix, Login: login, Log: cfg.Log})
		if err != nil {
			cfg.Log.Error("page", "error", err.Error())
			return
		}
		w.Register(mux)
	})
	return nil
}

func (c *fleetConfig) anyLogin() bool {
	return c.Login.UsersFile != "" || c.Login.ProxyHeader != "" || c.Login.OIDC.Issuer != ""
}

func (c *fleetConfig) login(ctx context.Context) (l web.Login, err error) {
	l.Secure, l.ProxyHeader, l.ProxyRole = c.Login.Secure, c.Login.ProxyHeader, c.Login.ProxyRole
	for _, text := range c.Login.Proxies {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return l, fmt.Errorf("-fleet: login.proxies: %w", err)
		}
		l.Proxies = append(l.Proxies, p)
	}
	if c.Login.UsersFile != "" {
		f, err := os.Open(c.Login.UsersFile)
		if err != nil {
			return l, fmt.Errorf("-fleet: login.users_file: %w", err)
		}
		defer f.Close()
		if l.Users, err = web.ReadUsers(f); err != nil {
			return l, fmt.Errorf("-fleet: %s: %w", c.Login.UsersFile, err)
		}
	}
	if o := c.Login.OIDC; o.Issuer != "" {
		secret, err := secretOf(o.SecretFile)
		if err != nil {
			return l, fmt.Errorf("-fleet: login.oidc: %w", err)
		}
		l.OIDC, err = web.NewOIDC(ctx, web.OIDCConfig{Issuer: o.Issuer, ClientID: o.ClientID, Secret: secret, Redirect: o.Redirect,
			Claim: o.Claim, Groups: o.Groups})
		if err != nil {
			return l, err
		}
	}
	return l, nil
}

func (c *fleetConfig) signer() (func(string, protocol.Command) (protocol.Command, error), error) {
	if c.KeyFile == "" {
		return nil, nil
	}
	text, err := secretOf(c.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("-fleet: sign_key_file: %w", err)
	}
	seed, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(seed) != ed25519.SeedSize {
		return nil, errors.New("-fleet: sign_key_file: want base64 of 32 bytes")
	}
	key := ed25519.NewKeyFromSeed(seed)
	return func(device string, cmd protocol.Command) (protocol.Command, error) {
		return protocol.SignCommand(key, device, cmd)
	}, nil
}
