-- What went with collections, by home: what is left of a collection that is not in the trash any more is found by it.
CREATE INDEX trash_parts ON trash (home, collection, id) WHERE part = 1;

-- Number of the first token that may be asked with where an instance stands: what was told at its path before is of something
-- else. NULL for those that were made before this was kept, until somebody synchronises there.
ALTER TABLE instances ADD COLUMN since INTEGER;
