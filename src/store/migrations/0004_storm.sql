-- What came of late in conversations that a filter with `storm` lets in, and their storms.
CREATE TABLE storms (
  account INTEGER NOT NULL,
  conversation TEXT NOT NULL,
  messages INTEGER NOT NULL,         -- the filter's limit, as of the last message: so many ...
  per INTEGER NOT NULL,              -- ... in so many milliseconds
  tally TEXT NOT NULL,               -- what came, as JSON
  at INTEGER NOT NULL,               -- of the last message
  since INTEGER,                     -- of the storm; NULL: there is none
  drawn INTEGER NOT NULL DEFAULT 0,  -- messages since then
  cost INTEGER NOT NULL DEFAULT 0,   -- millionths of a USD that X charged for them
  told_at INTEGER,                   -- when conversation.storm was last told of it
  told INTEGER NOT NULL DEFAULT 0,   -- `drawn` at that time
  waiting INTEGER NOT NULL DEFAULT 0,-- 1: some of its messages may be in `held`
  PRIMARY KEY (account, conversation)
) WITHOUT ROWID;
CREATE INDEX storms_open ON storms (account, conversation) WHERE since IS NOT NULL;

-- Deliveries, whole, of messages held back in a storm; processed as any other once released.
CREATE TABLE held (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  account INTEGER NOT NULL,
  post INTEGER NOT NULL,             -- the message of the delivery that is meant
  conversation TEXT NOT NULL,
  app TEXT NOT NULL,
  received_at INTEGER NOT NULL,      -- when the delivery came in
  at INTEGER NOT NULL,               -- when it was held back
  released INTEGER NOT NULL DEFAULT 0, -- 1: a person let it through
  body BLOB NOT NULL,
  UNIQUE (account, post)
);
CREATE INDEX held_conversation ON held (account, conversation, at);
CREATE INDEX held_released ON held (id) WHERE released = 1;

-- Cases in which the account has written: no storm holds them back.
CREATE TABLE answered (
  account INTEGER NOT NULL,
  conversation TEXT NOT NULL,
  customer INTEGER NOT NULL,
  at INTEGER NOT NULL,               -- when it wrote last
  PRIMARY KEY (account, conversation, customer)
) WITHOUT ROWID;

-- What filters look at in messages that were not published, and in those published whose event does
-- not show all of it; by the sequence of `seen`. For dry runs of filters, and to explain.
CREATE TABLE sightings (
  sequence INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  account INTEGER NOT NULL,
  body BLOB NOT NULL                 -- JSON
);

-- Bytes of bodies in tables that have a bound of their own.
CREATE TABLE sizes (name TEXT PRIMARY KEY, bytes INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO sizes (name, bytes) VALUES ('held', 0), ('sightings', 0);
