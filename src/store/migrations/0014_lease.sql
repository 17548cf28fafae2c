-- Which of the replicas leads: the one row names it.
CREATE TABLE lease (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  holder TEXT NOT NULL,      -- of one process, made at random at its start
  epoch BIGINT NOT NULL,     -- counts the terms; what a leader writes is taken in its own epoch only
  ends_at BIGINT NOT NULL,   -- milliseconds since 1970, by the clock of the database where it has one
  address TEXT NOT NULL      -- http://host:port of the leader's private listener
);
INSERT INTO lease (id, holder, epoch, ends_at, address) VALUES (1, '', 0, 0, '');

-- What deliveries that wait want to know of X, for the leader, who asks it.
CREATE TABLE wishes (
  echo BIGINT PRIMARY KEY,   -- the delivery, in echoes
  account BIGINT NOT NULL,
  parent BIGINT,             -- the post that is answered
  author BIGINT              -- whose profile is missing
);
