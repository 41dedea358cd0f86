-- Whether others than who sees the whole calendar may find it: 1, or 0. NULL, which counts as 0, until the program has read
-- the class from `bodies`.
ALTER TABLE documents ADD COLUMN public INTEGER;
CREATE INDEX documents_unread ON documents (id) WHERE public IS NULL;
