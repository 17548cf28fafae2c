-- Apps, accounts and filters that administrators made, beside those of the configuration.
CREATE TABLE apps (
  name TEXT PRIMARY KEY,             -- the {app} of the webhook URL
  sealed BLOB NOT NULL,              -- the keys of [[apps]] as JSON
  changed_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE links (
  account INTEGER PRIMARY KEY,
  app TEXT NOT NULL,
  sealed BLOB NOT NULL,              -- the keys of [[accounts]] as JSON
  oauth2 INTEGER NOT NULL,           -- 1: with a pair of tokens, in account_states
  name TEXT NOT NULL,                -- the profile as it was at linking
  avatar_url TEXT NOT NULL,
  linked_at INTEGER NOT NULL,
  confirmed_at INTEGER               -- NULL: nothing is routed until an administrator confirms
);

CREATE TABLE filters (
  account INTEGER PRIMARY KEY,
  list TEXT NOT NULL                 -- the keys of [[filters]] as JSON, in order
);
