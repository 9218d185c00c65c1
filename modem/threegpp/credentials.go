package threegpp

import "strings"

// Credentials of a session are written by a command of each family's own. Only a
// hash is kept, to see that they were changed; which of the two fields is the
// user does not matter to that.

// authForm says where a command has its context, user and password; -1 where it
// has none. key, where set, is a field that names what the value in user is: the
// family writes user and password one by one.
type authForm struct {
	cid, user, password int
	key                 int
	names               [2]string // in key: of the user, of the password
}

var (
	authTwo   = authForm{cid: 0, user: 2, password: 3, key: -1}
	authAfter = authForm{cid: 0, user: 3, password: 4, key: -1} // an APN before them
)

// authForms by command. Sources: TS 27.007 §10.1.31 (+CGAUTH) and the AT manuals
// of u-blox (+UAUTHREQ, +UPSD), Telit (#PDPAUTH, #SGACTAUTH), Cinterion (^SGAUTH,
// ^SICS), Huawei (^AUTHDATA), Neoway (+XGAUTH), Sierra (+WPPP, +KCNXCFG), Qualcomm
// ($QCPDPP), MediaTek (+EGPAU), SIMCom (+CNCFG, +CNCFG, +SAPBR), ZTE (+ZGPCOAUTH).
var authForms = map[string]authForm{
	"+CGAUTH": authTwo, "+UAUTHREQ": authTwo, "#PDPAUTH": authTwo, "^SGAUTH": authTwo, "+XGAUTH": authTwo, "+WPPP": authTwo,
	"$QCPDPP": authTwo, "+EGPAU": authTwo, "+ZGPCOAUTH": authTwo, "*CGAUTH": authTwo, "+QCPDPP": authTwo, "%CGAUTH": authTwo,
	"+GTAUTH": authTwo, "^AUTHDATA": {cid: 0, user: 3, password: 4, key: -1},
	"+CNCFG": authAfter, "+KCNXCFG": authAfter, "+MIPCALL": {cid: -1, user: 2, password: 3, key: -1},
	"+CGPCO": {cid: -1, user: 1, password: 2, key: -1}, "#USERID": {cid: -1, user: 0, password: -1, key: -1},
	"#PASSW": {cid: -1, user: -1, password: 0, key: -1}, "^NDISDUP": {cid: 0, user: 3, password: 4, key: -1},
	"+UPSD":  {cid: 0, user: 2, password: 2, key: 1, names: [2]string{"2", "3"}},
	"+SAPBR": {cid: 1, user: 3, password: 3, key: 2, names: [2]string{"USER", "PWD"}},
	"^SICS":  {cid: 0, user: 2, password: 2, key: 1, names: [2]string{"user", "passwd"}},
}

// credentials reads what a command wrote, or an answer shows, of user and password.
func credentials(name string, args []string, set bool) []Fact {
	f, ok := authForms[name]
	if !ok {
		return authByName(name, args, set)
	}
	field := func(i int) string {
		if i < 0 {
			return ""
		}
		return argStr(args, i)
	}
	cid := simcomContext
	if n, ok := argNum(args, f.cid); f.cid >= 0 && ok {
		cid = n
	}
	c := ContextConfig{CID: cid, Set: set}
	switch {
	case f.key >= 0 && strings.EqualFold(field(f.key), f.names[0]):
		c.AuthPart, c.AuthHash = "user", authHash(field(f.user), "")
	case f.key >= 0 && strings.EqualFold(field(f.key), f.names[1]):
		c.AuthPart, c.AuthHash = "password", authHash("", field(f.password))
	case f.key >= 0:
	case f.user < 0 || f.password < 0:
		c.AuthPart = "user"
		if f.user < 0 {
			c.AuthPart = "password"
		}
		c.AuthHash = authHash(field(f.user), field(f.password))
	default:
		c.AuthHash = authHash(field(f.user), field(f.password))
	}
	if c.AuthHash == "" {
		return nil
	}
	return one(c)
}

// authByName reads a command that no table has and whose name says what it is: its
// last two quoted fields are the credentials.
func authByName(name string, args []string, set bool) []Fact {
	if !strings.Contains(name, "AUTH") {
		return nil
	}
	var quoted []string
	for _, a := range args {
		if strings.HasPrefix(a, `"`) {
			quoted = append(quoted, unquote(a))
		}
	}
	if len(quoted) < 2 {
		return nil
	}
	hash := authHash(quoted[len(quoted)-2], quoted[len(quoted)-1])
	if hash == "" {
		return nil
	}
	cid := simcomContext
	if n, ok := argNum(args, 0); ok {
		cid = n
	}
	return one(ContextConfig{CID: cid, Set: set, AuthHash: hash})
}

// shownCredentials reads an answer that shows them.
func shownCredentials(l line) []Fact {
	if facts := credentials(l.name, l.args, false); facts != nil {
		return facts
	}
	return quiet
}
