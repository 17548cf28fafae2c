-- Who has changed what; without secrets.
CREATE TABLE audit (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  at INTEGER NOT NULL,
  who TEXT NOT NULL,                 -- token:NAME, session:NAME, command-line, service, ...
  action TEXT NOT NULL,              -- what was done: token.create, command.cancel, ...
  object TEXT NOT NULL,              -- to what: its id or name
  detail TEXT NOT NULL               -- a JSON object
);
CREATE INDEX audit_at ON audit (at);

-- Tokens of the API; the token of the settings is not among them.
CREATE TABLE api_tokens (
  name TEXT PRIMARY KEY,
  role TEXT NOT NULL,                -- read, core, admin
  hash BLOB NOT NULL UNIQUE,         -- SHA-256 of the token, 32 random bytes
  created_at INTEGER NOT NULL
) WITHOUT ROWID;

-- Logins at the console. One ends with the token that it was opened with.
CREATE TABLE api_sessions (
  hash BLOB PRIMARY KEY,             -- SHA-256 of what the cookie holds
  token_hash BLOB NOT NULL,
  expires_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX api_sessions_token ON api_sessions (token_hash);
