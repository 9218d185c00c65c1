-- +goose Up
-- What SIM platforms and the sense of the fleet know. Times are milliseconds since 1970.
CREATE TABLE sim (
  device     bigint PRIMARY KEY REFERENCES device,
  account    text    NOT NULL,           -- which account of which platform answered
  state      text    NOT NULL,           -- the words of sim_status
  reason     text    NOT NULL,
  raw        text    NOT NULL,           -- the platform's own words
  pool       text    NOT NULL DEFAULT '',
  pool_share real,                       -- of the pool, used
  used       bigint,
  plan       bigint,
  used_as_of bigint,
  expires    bigint,
  session    boolean,
  as_of      bigint  NOT NULL,           -- when it was answered
  error      text    NOT NULL DEFAULT '' -- why the last question got no answer
);
CREATE TABLE sim_status (                -- only changes
  device bigint NOT NULL REFERENCES device,
  at     bigint NOT NULL,
  state  text   NOT NULL,
  reason text   NOT NULL,
  raw    text   NOT NULL
);
CREATE INDEX sim_status_device ON sim_status (device, at);
CREATE TABLE silence (
  id       integer PRIMARY KEY,
  tenant   text   NOT NULL,
  device   bigint NOT NULL REFERENCES device,
  since    bigint NOT NULL,              -- the will
  heard    bigint NOT NULL,
  boot     text   NOT NULL DEFAULT '',
  said     text   NOT NULL DEFAULT '',   -- the probable cause; ambiguous
  p        real   NOT NULL DEFAULT 0,
  grp      text   NOT NULL DEFAULT '',
  decide   text   NOT NULL DEFAULT '',   -- the check that would decide, as a code
  body     text   NOT NULL DEFAULT '',   -- candidates, evidence, features
  closed   bigint,
  truth    text   NOT NULL DEFAULT '',
  truth_by text   NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX silence_open ON silence (device) WHERE closed IS NULL;
CREATE INDEX silence_closed ON silence (tenant, closed);
CREATE TABLE finding (
  id      integer PRIMARY KEY,
  tenant  text   NOT NULL,
  kind    text   NOT NULL,               -- outage, site, pool, ours
  carrier text   NOT NULL,
  scope   text   NOT NULL,
  class   text   NOT NULL,
  verdict text   NOT NULL,
  opened  bigint NOT NULL,
  closed  bigint,
  n       int    NOT NULL,
  body    text   NOT NULL
);
CREATE UNIQUE INDEX finding_open ON finding (tenant, kind, carrier, scope) WHERE closed IS NULL;
CREATE TABLE note (
  id     integer PRIMARY KEY,
  device bigint NOT NULL REFERENCES device,
  at     bigint NOT NULL,
  who    text   NOT NULL,
  what   text   NOT NULL
);
CREATE INDEX note_device ON note (device, at);
CREATE TABLE assignment (
  alert bigint PRIMARY KEY REFERENCES alert,
  whom  text   NOT NULL,
  at    bigint NOT NULL,
  who   text   NOT NULL
);

-- +goose Down
DROP TABLE assignment;
DROP TABLE note;
DROP TABLE finding;
DROP TABLE silence;
DROP TABLE sim_status;
DROP TABLE sim;
