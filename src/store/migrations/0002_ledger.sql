-- Commands of the core, from their acceptance until 90 days after their outcome.
CREATE TABLE commands (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT,  -- the order in which they came
  id TEXT NOT NULL UNIQUE,
  fingerprint BLOB NOT NULL,         -- of the content as parsed: the same id has to mean the same
  account INTEGER,                   -- NULL: it names none that can be told
  name TEXT NOT NULL,                -- send_post, ...
  conversation TEXT NOT NULL,        -- within which order is kept; '' where it stands alone
  call TEXT NOT NULL,                -- X's call that its next step makes
  state TEXT NOT NULL,               -- pending, sending, uncertain, succeeded, failed
  hold TEXT NOT NULL DEFAULT '',     -- files, stopped, revoked, person: what lets it go on
  received_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  next_attempt_at INTEGER NOT NULL,
  attempt INTEGER NOT NULL DEFAULT 0,
  told_code TEXT NOT NULL DEFAULT '',-- of the last command.deferred
  told_until INTEGER,
  told_count INTEGER NOT NULL DEFAULT 0,
  changed INTEGER NOT NULL,          -- grows with each change that the scheduler has to hear of
  content TEXT NOT NULL,             -- the command as JSON, without files; '' once it is blanked
  plan TEXT NOT NULL,                -- what was decided of it, as JSON
  has_files INTEGER NOT NULL DEFAULT 0, -- 1: attachments lie in the vault
  cost INTEGER NOT NULL DEFAULT 0,   -- millionths of a USD that X has charged for it
  finished_at INTEGER,
  outcome_type TEXT NOT NULL DEFAULT '',
  outcome_event BLOB,                -- id of the outcome event
  outcome BLOB                       -- the body of the outcome event, for as long as the id is kept
);
CREATE INDEX commands_open ON commands (sequence) WHERE finished_at IS NULL;
CREATE INDEX commands_held ON commands (hold, sequence) WHERE finished_at IS NULL AND hold <> '';
CREATE INDEX commands_files ON commands (sequence) WHERE has_files = 1;
CREATE INDEX commands_changed ON commands (changed);
CREATE INDEX commands_finished ON commands (finished_at) WHERE finished_at IS NOT NULL;

-- What may be at X because of a command: a row for each part of its text, written before the call.
CREATE TABLE sends (
  command INTEGER NOT NULL,          -- its sequence
  part INTEGER NOT NULL,             -- from 1
  account INTEGER NOT NULL,
  kind TEXT NOT NULL,                -- post, direct_message
  state TEXT NOT NULL,               -- sending, uncertain, absent, done
  text TEXT NOT NULL,
  target TEXT NOT NULL,              -- the post replied to, the conversation written to, or ''
  media INTEGER NOT NULL,            -- 1: with attachments
  started_at INTEGER NOT NULL,       -- of the first attempt
  ended_at INTEGER,                  -- of the last one
  doubted INTEGER NOT NULL DEFAULT 0,-- 1: an attempt ended without an answer that tells
  empty_reads INTEGER NOT NULL DEFAULT 0,
  message INTEGER,                   -- X's id of it; no two sends have the same
  sent_at INTEGER,
  PRIMARY KEY (command, part)
) WITHOUT ROWID;
CREATE UNIQUE INDEX sends_message ON sends (account, kind, message) WHERE message IS NOT NULL;
CREATE INDEX sends_unsettled ON sends (account, kind) WHERE message IS NULL;
CREATE INDEX sends_started ON sends (started_at);

-- Deliveries that wait: messages of our own of which it is open whether a command has made them, and
-- messages about which X is asked.
CREATE TABLE echoes (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  hash BLOB NOT NULL UNIQUE,
  app TEXT NOT NULL,
  account INTEGER NOT NULL,
  received_at INTEGER NOT NULL,
  not_before INTEGER NOT NULL,
  body BLOB NOT NULL                 -- the delivery
);
CREATE INDEX echoes_due ON echoes (not_before);

-- What was learnt of an account, and of an app under the account 0.
CREATE TABLE account_states (
  account INTEGER PRIMARY KEY,
  credential BLOB,                   -- fingerprint of what it was linked with
  revoked_at INTEGER,
  tokens BLOB,                       -- the newest pair of OAuth 2.0, sealed
  post_limit INTEGER                 -- weighted characters, by its plan at X
);

-- What X has charged, by UTC day.
CREATE TABLE costs (
  account INTEGER NOT NULL,
  day INTEGER NOT NULL,              -- since 1970
  kind TEXT NOT NULL,                -- what was charged for, as the price list names it
  count INTEGER NOT NULL,
  micros INTEGER NOT NULL,           -- millionths of a USD
  PRIMARY KEY (account, day, kind)
) WITHOUT ROWID;
