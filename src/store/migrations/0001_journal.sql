-- Times are milliseconds since 1970; X's ids are their number (read back as unsigned).

-- Small facts of the service itself: relay_cursor, alive_at, ...
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

-- The duplicate check, apart from bodies: one row for each event ever decided on.
CREATE TABLE seen (
  sequence INTEGER PRIMARY KEY,
  id BLOB NOT NULL UNIQUE,
  at INTEGER NOT NULL,
  wanted INTEGER NOT NULL,           -- 0: no filter wanted it; a later delivery may know more
  account INTEGER,                   -- whose case it was published in, where it was in one;
  customer INTEGER,                  -- the table of cases has it some events later
  conversation TEXT
);

CREATE INDEX seen_at ON seen (at);

-- What is published, in this order; a row never changes once it was handed to the broker.
CREATE TABLE journal (
  sequence INTEGER PRIMARY KEY,
  id BLOB NOT NULL,
  type TEXT NOT NULL,
  routing_key TEXT NOT NULL,
  correlation_id TEXT NOT NULL,
  subject TEXT NOT NULL,
  time INTEGER NOT NULL,
  at INTEGER NOT NULL,
  mandatory INTEGER NOT NULL,
  body BLOB NOT NULL
);

-- Rows the relay's cursor has passed that wait for another try, without blocking others.
CREATE TABLE lane (
  kind TEXT NOT NULL,                -- unrouted, nacked, republish
  sequence INTEGER NOT NULL,
  routing_key TEXT NOT NULL,
  since INTEGER NOT NULL,
  PRIMARY KEY (kind, sequence)
) WITHOUT ROWID;

CREATE INDEX lane_routing_key ON lane (kind, routing_key, sequence);
CREATE INDEX lane_sequence ON lane (sequence);

-- Posts known by id, for each account: those delivered and those only pointed to. No index tells
-- which are old, here and in the next two: each would be written with every delivery, for what is
-- looked for once in a year. The clean-up goes through the tables instead, a little at a time.
CREATE TABLE posts (
  account INTEGER NOT NULL,
  id INTEGER NOT NULL,
  thread INTEGER NOT NULL,           -- root id as first resolved; follow conversations.survivor
  author INTEGER,                    -- NULL: only pointed to
  customer INTEGER,                  -- whose case it belongs to
  original INTEGER,                  -- first version, where this is a later one
  latest INTEGER,                    -- on a first version: id of the newest version published
  event BLOB,                        -- id of the event of that version
  day INTEGER NOT NULL,              -- when last stored, in days since 1970
  PRIMARY KEY (account, id)
) WITHOUT ROWID;

CREATE TABLE conversations (
  account INTEGER NOT NULL,
  id TEXT NOT NULL,
  survivor TEXT,                     -- merged into this one
  first_sequence INTEGER,            -- of the first event published in it
  received_at INTEGER,               -- the last message.received published
  route_group TEXT NOT NULL DEFAULT '',
  route_filter TEXT NOT NULL DEFAULT '',
  route_tags TEXT NOT NULL DEFAULT '[]',
  day INTEGER NOT NULL,              -- when last stored, in days since 1970
  PRIMARY KEY (account, id)
) WITHOUT ROWID;
CREATE INDEX conversations_survivor ON conversations (account, survivor) WHERE survivor IS NOT NULL;

-- Which conversations a customer has with an account: `related`. Entered later than `seen` has
-- them, by customer, so that few pages are written.
CREATE TABLE cases (
  account INTEGER NOT NULL,
  customer INTEGER NOT NULL,
  conversation TEXT NOT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY (account, customer, conversation)
) WITHOUT ROWID;

-- Deliveries, whole, of which a part was not understood or has no account yet.
CREATE TABLE quarantine (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  hash BLOB NOT NULL UNIQUE,
  at INTEGER NOT NULL,
  app TEXT NOT NULL,
  reason TEXT NOT NULL,
  detail TEXT NOT NULL,
  account INTEGER,                   -- set for account_not_linked: processed once it is
  retry INTEGER NOT NULL DEFAULT 0,  -- 1: asked for by a person
  body BLOB NOT NULL
);

-- Times for which X may have events that we have not.
CREATE TABLE gaps (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  app TEXT NOT NULL,
  opened INTEGER NOT NULL,           -- from
  until INTEGER NOT NULL,            -- to
  reason TEXT NOT NULL,              -- refused, downtime
  closed INTEGER
);
