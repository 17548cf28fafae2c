CREATE FUNCTION proofs_stay() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'proofs of erasure stay, and never change';
END $$;
CREATE TRIGGER erasures_stay BEFORE DELETE OR UPDATE ON erasures
  FOR EACH ROW EXECUTE FUNCTION proofs_stay();
CREATE TRIGGER erasures_never_cut BEFORE TRUNCATE ON erasures
  FOR EACH STATEMENT EXECUTE FUNCTION proofs_stay();

-- What others wrote is held on without what it tells of an erased person.
CREATE TRIGGER held_changed AFTER UPDATE OF body ON held
  FOR EACH ROW EXECUTE FUNCTION count_body();
