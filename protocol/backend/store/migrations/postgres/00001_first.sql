-- +goose Up
-- Times are milliseconds since 1970, UTC: to_timestamp(x / 1000.0) shows one.
CREATE TABLE site (
  id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  tenant   text NOT NULL,
  name     text NOT NULL,
  district text NOT NULL DEFAULT '',   -- province/city/district
  lat      double precision,
  lon      double precision,
  UNIQUE (tenant, name)
);
CREATE TABLE device (
  id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  tenant      text NOT NULL,
  dev         text NOT NULL,
  site        bigint REFERENCES site,
  carrier     text NOT NULL DEFAULT '', -- home operator, digits
  iccid       text NOT NULL DEFAULT '', -- as the inventory says, or entered by hand
  sales_per_h double precision,         -- money; null: not known
  created     bigint NOT NULL,
  UNIQUE (tenant, dev)
);
CREATE TABLE stream (
  device    bigint NOT NULL REFERENCES device,
  ep        text   NOT NULL,
  seen      int8multirange NOT NULL,
  floor     bigint NOT NULL DEFAULT 0,  -- below it holes were closed by force
  first_at  bigint NOT NULL,            -- arrival of its first message
  newest    bigint NOT NULL DEFAULT 0,  -- newest trusted wall clock in it
  gaps      bigint NOT NULL DEFAULT 0,  -- messages that gap messages explain
  holes     bigint NOT NULL DEFAULT 0,  -- numbers that neither came nor are explained by gaps
  alert_seq bigint NOT NULL DEFAULT 0,  -- the newest alert or clear
  blind_seq bigint NOT NULL DEFAULT 0,  -- the newest blind
  PRIMARY KEY (device, ep)
) WITH (fillfactor = 70);
-- Eight-byte columns first: the order costs no padding, and these two hold nearly all.
CREATE TABLE event (
  seq     bigint  NOT NULL,
  at      bigint  NOT NULL,             -- the device's clock, or the arrival where that was not trusted
  arrived bigint  NOT NULL,
  device  int     NOT NULL,
  at_ok   boolean NOT NULL,
  ep      text    NOT NULL,
  type    text    NOT NULL,
  body    json    NOT NULL              -- not jsonb: a machine's event may hold \u0000
) PARTITION BY RANGE (arrived);
CREATE INDEX event_device ON event (device, seq);
CREATE TABLE event_default PARTITION OF event DEFAULT;
CREATE TABLE state (
  seq     bigint  NOT NULL,
  at      bigint  NOT NULL,
  arrived bigint  NOT NULL,
  used    bigint  NOT NULL,
  own     bigint  NOT NULL,
  quota   bigint  NOT NULL,
  device  int     NOT NULL,
  waiting int     NOT NULL,
  uptime  int     NOT NULL,
  rsrp    real,
  sinr    real,
  at_ok   boolean NOT NULL,
  class   text    NOT NULL,
  rat     text    NOT NULL,
  plmn    text    NOT NULL,
  counts  json
) PARTITION BY RANGE (arrived);
CREATE INDEX state_device ON state (device, at);
CREATE TABLE state_default PARTITION OF state DEFAULT;
CREATE TABLE device_now (
  device     bigint PRIMARY KEY REFERENCES device,
  heard      bigint NOT NULL DEFAULT 0,  -- arrival of the last message
  up         boolean,                    -- null: no status was seen
  up_at      bigint NOT NULL DEFAULT 0,  -- arrival of the status
  up_boot    text   NOT NULL DEFAULT '',
  up_mono    bigint NOT NULL DEFAULT 0,
  up_why     text   NOT NULL DEFAULT '',
  boot       text   NOT NULL DEFAULT '', -- of the newest envelope
  state_ep   text   NOT NULL DEFAULT '',
  state_seq  bigint NOT NULL DEFAULT 0,
  state_at   bigint NOT NULL DEFAULT 0,
  class      text   NOT NULL DEFAULT '', -- of the newest state
  rsrp       real,
  used       bigint NOT NULL DEFAULT 0,
  quota      bigint NOT NULL DEFAULT 0,
  waiting    bigint NOT NULL DEFAULT 0,
  state      json,
  inv_ep     text   NOT NULL DEFAULT '',
  inv_seq    bigint NOT NULL DEFAULT 0,
  inventory  json,
  last_at    bigint NOT NULL DEFAULT 0,
  last_boot  text   NOT NULL DEFAULT '',
  last_mono  bigint NOT NULL DEFAULT 0,
  last       json                        -- last words, as retained
) WITH (fillfactor = 70);
CREATE TABLE alert (
  id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  tenant      text    NOT NULL,
  device      bigint  NOT NULL REFERENCES device,
  source      text    NOT NULL,          -- device, agent (it is blind), or who of the backend says so
  key         text    NOT NULL,          -- the incident and the class
  incident    text    NOT NULL,
  class       text    NOT NULL,
  verdict     text    NOT NULL,
  who         text    NOT NULL,
  act         text    NOT NULL,
  resumes     text    NOT NULL,
  unstable    boolean NOT NULL,
  ep          text    NOT NULL,
  first_seq   bigint  NOT NULL,
  last_seq    bigint  NOT NULL,
  clear_seq   bigint  NOT NULL,
  opened      bigint  NOT NULL,
  changed     bigint  NOT NULL,
  closed      bigint,
  ended_by    text    NOT NULL,
  next        text    NOT NULL,
  body        json,
  acked_by    text    NOT NULL DEFAULT '',
  acked_at    bigint,
  muted_until bigint,
  escalated   int     NOT NULL DEFAULT 0,
  group_id    bigint,
  UNIQUE (device, source, key)
);
CREATE UNIQUE INDEX alert_open ON alert (device, class, source) WHERE closed IS NULL;
CREATE INDEX alert_group_members ON alert (group_id) WHERE group_id IS NOT NULL;
CREATE INDEX alert_closed ON alert (closed);
CREATE TABLE alert_group (
  id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  tenant   text   NOT NULL,
  kind     text   NOT NULL,              -- class, site, pool, outage
  key      text   NOT NULL,
  opened   bigint NOT NULL,
  closed   bigint,
  due      bigint NOT NULL,              -- when to look again
  sent_at  bigint NOT NULL DEFAULT 0,    -- 0: never
  sent     text   NOT NULL DEFAULT ''    -- the members that were told
);
CREATE UNIQUE INDEX group_open ON alert_group (tenant, kind, key) WHERE closed IS NULL;
CREATE TABLE mute (
  id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  tenant text   NOT NULL,
  device bigint REFERENCES device,       -- null: every one of the site, or of the tenant
  site   bigint REFERENCES site,
  class  text   NOT NULL DEFAULT '',     -- '': every class
  since  bigint NOT NULL,
  until  bigint NOT NULL,
  by     text   NOT NULL,
  why    text   NOT NULL
);
CREATE TABLE endpoint (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  tenant     text   NOT NULL,
  kind       text   NOT NULL DEFAULT 'cloudevents', -- cloudevents, feishu, dingtalk, wecom, alertmanager
  url        text   NOT NULL,
  secret     text   NOT NULL DEFAULT '',
  secret_old text   NOT NULL DEFAULT '', -- during a change of secrets both sign
  types      text   NOT NULL DEFAULT '', -- comma-separated, alert.* allowed; '': all
  disabled   bigint,
  why        text   NOT NULL DEFAULT ''
);
CREATE TABLE outbox (
  id       text   PRIMARY KEY,           -- webhook-id and CloudEvents id, the same over all tries
  endpoint bigint NOT NULL REFERENCES endpoint,
  type     text   NOT NULL,
  subject  text   NOT NULL,              -- what must stay in order among itself: alert/12
  n        bigint NOT NULL,              -- order within it
  body     json   NOT NULL,
  created  bigint NOT NULL,
  next_at  bigint NOT NULL,
  tries    int    NOT NULL DEFAULT 0,
  error    text   NOT NULL DEFAULT ''
);
CREATE INDEX outbox_due ON outbox (next_at);
CREATE INDEX outbox_subject ON outbox (endpoint, subject, n);
CREATE TABLE dead_letter (
  id       text   PRIMARY KEY,
  endpoint bigint NOT NULL REFERENCES endpoint,
  type     text   NOT NULL,
  subject  text   NOT NULL,
  n        bigint NOT NULL,
  body     json   NOT NULL,
  created  bigint NOT NULL,
  died     bigint NOT NULL,
  tries    int    NOT NULL,
  error    text   NOT NULL
);
CREATE TABLE rejected (
  id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at     bigint NOT NULL,
  topic  text   NOT NULL,
  reason text   NOT NULL,
  detail text   NOT NULL,
  size   bigint NOT NULL,
  head   bytea  NOT NULL                 -- up to 1 KB
);
CREATE TABLE command (
  id       text   NOT NULL,
  device   bigint NOT NULL REFERENCES device,
  did      text   NOT NULL,              -- the command's do
  sent     bigint NOT NULL,
  expires  bigint NOT NULL,
  retained boolean NOT NULL,
  replied  bigint,
  ok       boolean,
  error    text   NOT NULL DEFAULT '',
  PRIMARY KEY (device, id)
);
CREATE TABLE audit (
  at   bigint NOT NULL,
  who  text   NOT NULL,
  what text   NOT NULL
);

-- +goose Down
DROP TABLE audit, command, rejected, dead_letter, outbox, endpoint, mute, alert_group, alert, device_now, state, event, stream, device, site;
