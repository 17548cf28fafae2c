-- Webhooks that this service has registered at X: it may register them again when they are gone.
CREATE TABLE registered_webhooks (
  app TEXT PRIMARY KEY,
  webhook INTEGER NOT NULL,          -- X's id
  url TEXT NOT NULL,
  at INTEGER NOT NULL
) WITHOUT ROWID;

-- Accounts that this service has subscribed: of those that are unlinked, the subscriptions end.
CREATE TABLE subscribed_accounts (
  app TEXT NOT NULL,
  account INTEGER NOT NULL,
  PRIMARY KEY (app, account)
) WITHOUT ROWID;
