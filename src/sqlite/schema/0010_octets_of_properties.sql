-- The room that a home takes counts the properties on its files and folders, too.

UPDATE file_homes SET used = (
    WITH RECURSIVE below (id) AS (
        SELECT file_homes.home UNION ALL
        SELECT n.id FROM below b CROSS JOIN file_nodes n ON n.parent = b.id)
    SELECT coalesce(sum(size + CASE dead WHEN '{}' THEN 0 ELSE length(CAST(dead AS BLOB)) END), 0)
    FROM below b CROSS JOIN file_nodes n ON n.id = b.id);
