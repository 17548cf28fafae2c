-- How much each account hears and says, by hour: what is usual, and the plot of the last day.
CREATE TABLE traffic (
  account INTEGER NOT NULL,
  hour INTEGER NOT NULL,             -- since 1970, UTC
  heard INTEGER NOT NULL,            -- what X delivered, also twice or unwanted
  received INTEGER NOT NULL,         -- message.received published
  sent INTEGER NOT NULL,             -- message.sent published
  PRIMARY KEY (account, hour)
) WITHOUT ROWID;
