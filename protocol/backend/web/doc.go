// Package web is the operator's page: one screen that says what is lost an hour, who must
// act, and how old every number is. HTML comes ready from the server and works without
// JavaScript; each list is also in the API and as CSV.
//
// Who may see and do what is decided here: a login by password file, by the header of a
// trusted proxy or by OIDC, a role (read, act, admin) and a tenant. Every act is noted in
// the audit.
package web
