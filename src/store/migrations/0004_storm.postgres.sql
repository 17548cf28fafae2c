CREATE FUNCTION count_body() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
  UPDATE sizes SET bytes = bytes
      + CASE WHEN TG_OP = 'DELETE' THEN 0 ELSE length(NEW.body) END
      - CASE WHEN TG_OP = 'INSERT' THEN 0 ELSE length(OLD.body) END
    WHERE name = TG_TABLE_NAME;
  RETURN NULL;
END $$;
CREATE TRIGGER held_counted AFTER INSERT OR DELETE ON held
  FOR EACH ROW EXECUTE FUNCTION count_body();
CREATE TRIGGER sightings_counted AFTER INSERT OR DELETE ON sightings
  FOR EACH ROW EXECUTE FUNCTION count_body();

-- What the journal holds: its files never shrink by themselves. What is appended is added once for
-- each commit.
INSERT INTO sizes (name, bytes) VALUES ('journal', 0);
CREATE FUNCTION count_removed_events() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
  UPDATE sizes SET bytes = greatest(0, bytes - (SELECT coalesce(sum(length(body)), 0) FROM gone))
    WHERE name = 'journal';
  RETURN NULL;
END $$;
CREATE TRIGGER journal_removed AFTER DELETE ON journal REFERENCING OLD TABLE AS gone
  FOR EACH STATEMENT EXECUTE FUNCTION count_removed_events();
