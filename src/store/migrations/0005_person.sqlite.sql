CREATE TRIGGER erasures_stay BEFORE DELETE ON erasures
BEGIN SELECT raise(ABORT, 'proofs of erasure stay'); END;
CREATE TRIGGER erasures_never_change BEFORE UPDATE ON erasures
BEGIN SELECT raise(ABORT, 'proofs of erasure never change'); END;

-- What others wrote is held on without what it tells of an erased person.
CREATE TRIGGER held_changed AFTER UPDATE OF body ON held BEGIN
  UPDATE sizes SET bytes = bytes + length(NEW.body) - length(OLD.body) WHERE name = 'held';
END;
