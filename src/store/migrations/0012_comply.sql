-- Files of direct messages that X has no more.
CREATE TABLE gone_files (
  mark BLOB PRIMARY KEY,             -- the signature of the file's link
  first INTEGER NOT NULL,            -- when X said so first, ms
  last INTEGER NOT NULL              -- and last
) WITHOUT ROWID;
CREATE INDEX gone_files_by_last ON gone_files (last);

-- What is asked of X about published posts: one row for an app.
CREATE TABLE compliance (
  app TEXT PRIMARY KEY,
  due INTEGER NOT NULL,              -- when the next check begins by itself, ms
  requested INTEGER NOT NULL DEFAULT 0,-- somebody wants one now
  last_done INTEGER,                 -- when the last one ended well
  failing_since INTEGER,             -- the first failure after it
  refused INTEGER NOT NULL DEFAULT 0,-- the failure is that the app may not
  problem TEXT NOT NULL DEFAULT '',  -- the last failure in words
  -- The check under way; NULL where there is none.
  name TEXT,                         -- of the job at X
  started INTEGER,
  job INTEGER,                       -- its id, once X has told it
  uploaded INTEGER NOT NULL DEFAULT 0,-- the ids are with X
  account INTEGER,                   -- looking up by id instead: this account's posts, and
  looked_up INTEGER                  -- those older than this one come next
) WITHOUT ROWID;
