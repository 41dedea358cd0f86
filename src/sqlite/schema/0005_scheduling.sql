-- Schedule-Tag of scheduling objects (RFC 6638 §3.2.10): the ETag that the object had when it last changed in a way that
-- concerns clients. NULL for objects that are not scheduled.
ALTER TABLE objects ADD COLUMN schedule_tag TEXT;
UPDATE objects SET schedule_tag = etag
WHERE component IN ('VEVENT', 'VTODO') AND collection IN (SELECT id FROM collections WHERE kind = 0)
AND EXISTS (SELECT 1 FROM bodies b WHERE b.id = objects.body AND b.data LIKE '%' || char(10) || 'ORGANIZER%');
