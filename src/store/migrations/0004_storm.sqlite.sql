CREATE TRIGGER held_added AFTER INSERT ON held BEGIN
  UPDATE sizes SET bytes = bytes + length(NEW.body) WHERE name = 'held';
END;
CREATE TRIGGER held_removed AFTER DELETE ON held BEGIN
  UPDATE sizes SET bytes = bytes - length(OLD.body) WHERE name = 'held';
END;
CREATE TRIGGER sightings_added AFTER INSERT ON sightings BEGIN
  UPDATE sizes SET bytes = bytes + length(NEW.body) WHERE name = 'sightings';
END;
CREATE TRIGGER sightings_removed AFTER DELETE ON sightings BEGIN
  UPDATE sizes SET bytes = bytes - length(OLD.body) WHERE name = 'sightings';
END;
