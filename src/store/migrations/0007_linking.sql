-- Pages of the public listener at which an account is linked: for who was invited, and for an
-- administrator.
CREATE TABLE link_offers (
  hash BLOB PRIMARY KEY,             -- SHA-256 of the token in its address
  app TEXT NOT NULL,
  oauth2 INTEGER NOT NULL,           -- 1: by OAuth 2.0, 0: by OAuth 1.0a
  username TEXT,                     -- the account that is expected; NULL: any
  invited INTEGER NOT NULL,          -- 1: for another person, 0: for who made it
  made_by TEXT NOT NULL,
  back TEXT,                         -- path below private.url to go to afterwards
  made_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  used_at INTEGER                    -- when an account was linked by it
) WITHOUT ROWID;
CREATE INDEX link_offers_end ON link_offers (expires_at);

-- Browsers that were sent to X.
CREATE TABLE linkings (
  state BLOB PRIMARY KEY,            -- SHA-256 of what comes back: the state, or the request token
  browser BLOB NOT NULL,             -- SHA-256 of the cookie
  offer BLOB NOT NULL,               -- hash of the page it began at
  sealed BLOB NOT NULL,              -- the PKCE verifier, or the request token's secret
  expires_at INTEGER NOT NULL,
  used_at INTEGER
) WITHOUT ROWID;
CREATE INDEX linkings_end ON linkings (expires_at);
