-- Where one text stands in another one, from 1; 0: nowhere. SQLite has it by itself.
CREATE FUNCTION instr(haystack TEXT, needle TEXT) RETURNS INTEGER
  LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT strpos($1, $2)';
CREATE FUNCTION instr(haystack BYTEA, needle BYTEA) RETURNS INTEGER
  LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT position($2 IN $1)';
-- To compress bodies of two or three kilobytes costs more than all else that is done with them.
ALTER TABLE journal SET (toast_tuple_target = 8160);
