-- How far each read of X beside its webhooks has come, so that a restart goes on from there.
CREATE TABLE feed_marks (
  feed TEXT NOT NULL,                -- search, mentions or stream
  subject TEXT NOT NULL,             -- the account's id; of a stream the app's name
  query TEXT NOT NULL,               -- of a search; '' for all else
  post INTEGER,                      -- the newest that it brought
  post_at INTEGER,                   -- when it brought that one
  complete_until INTEGER NOT NULL,   -- all older ones are here, or are not wanted
  PRIMARY KEY (feed, subject, query)
) WITHOUT ROWID;
