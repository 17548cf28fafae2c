-- What has to go, but not yet: an event that the broker does not have, a command without an outcome.
CREATE TABLE leaving (
  kind TEXT NOT NULL,                -- event, command: its sequence; message: X's id of one that is
                                     -- gone, to be looked for in kept deliveries
  number INTEGER NOT NULL,
  not_before INTEGER NOT NULL,
  hash BLOB,                         -- what takes the place of the event's id
  PRIMARY KEY (kind, number)
) WITHOUT ROWID;

-- Events of erased people, by keyed hashes of their ids: X may deliver them again.
CREATE TABLE erased_events (id BLOB PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;

-- Proof of what was erased: lines are added, and nothing else.
CREATE TABLE erasures (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  at INTEGER NOT NULL,
  person BLOB NOT NULL,              -- keyed hash of the person's id
  asked_by TEXT NOT NULL,
  counts TEXT NOT NULL               -- by kind, as JSON
);

-- A person's answered cases are found to be forgotten.
CREATE INDEX answered_customer ON answered (customer);
