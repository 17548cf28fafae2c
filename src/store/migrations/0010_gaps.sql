-- How gaps are filled, and what became of them.
ALTER TABLE gaps ADD COLUMN account INTEGER;                       -- of this account alone
ALTER TABLE gaps ADD COLUMN noted INTEGER;                         -- when it was noted
ALTER TABLE gaps ADD COLUMN method TEXT NOT NULL DEFAULT '';       -- replay, reads; '': not begun
ALTER TABLE gaps ADD COLUMN filled INTEGER;                        -- replayed up to here
ALTER TABLE gaps ADD COLUMN job TEXT;                              -- X's id of the replay that runs; '': not known
ALTER TABLE gaps ADD COLUMN job_from INTEGER;
ALTER TABLE gaps ADD COLUMN job_until INTEGER;
ALTER TABLE gaps ADD COLUMN job_at INTEGER;                        -- when it was ordered
ALTER TABLE gaps ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0;   -- of the replay of one span
ALTER TABLE gaps ADD COLUMN next_at INTEGER;                       -- not before
ALTER TABLE gaps ADD COLUMN how TEXT NOT NULL DEFAULT '';          -- what closed it: replay, reads, lost
ALTER TABLE gaps ADD COLUMN note TEXT NOT NULL DEFAULT '';         -- a sentence: what it waits for, or how it ended
ALTER TABLE gaps ADD COLUMN acknowledged INTEGER;                  -- a lost one: somebody has seen it

UPDATE gaps SET noted = until;

-- Ends of replay jobs, as they came to the webhook; removed once they are looked at.
CREATE TABLE replay_ends (
  app TEXT NOT NULL,
  job TEXT NOT NULL,
  complete INTEGER NOT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY (app, job)
) WITHOUT ROWID;

-- Lists of X that are read to fill a gap, page by page.
CREATE TABLE gap_reads (
  gap INTEGER NOT NULL,
  account INTEGER NOT NULL,
  source TEXT NOT NULL,              -- mentions, search:QUERY, ...; '': the account as a whole
  since INTEGER NOT NULL,            -- from here on, the same for all pages
  page TEXT NOT NULL,                -- X's word for the next one; '': the first
  state TEXT NOT NULL,               -- open, done, lost
  note TEXT NOT NULL,                -- why it is lost
  PRIMARY KEY (gap, account, source)
) WITHOUT ROWID;
