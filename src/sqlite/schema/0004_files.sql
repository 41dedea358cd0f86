-- Plain files below /files (RFC 4918). Instants are unix seconds.

CREATE TABLE file_homes (
    home BLOB PRIMARY KEY,
    -- Counts the changes.
    revision INTEGER NOT NULL,
    -- Octets of all files.
    used INTEGER NOT NULL,
    -- Files and folders, the home itself not counted.
    entries INTEGER NOT NULL,
    -- JSON of store::FileLock, all of them.
    locks TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE file_nodes (
    -- That of the home for the home itself.
    id BLOB PRIMARY KEY,
    -- NULL for the home itself.
    parent BLOB,
    name TEXT NOT NULL,
    -- NULL for a folder.
    content BLOB,
    size INTEGER NOT NULL,
    etag TEXT NOT NULL,
    media_type TEXT NOT NULL,
    created INTEGER NOT NULL,
    modified INTEGER NOT NULL,
    -- JSON: Clark name to XML.
    dead TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX file_nodes_by_name ON file_nodes (parent, name);

-- What is in files; copies share it.
CREATE TABLE file_contents (
    id BLOB PRIMARY KEY,
    -- Octets of its pieces so far.
    octets INTEGER NOT NULL,
    -- Files that refer to it.
    links INTEGER NOT NULL,
    -- Where no file refers to it: when it may be removed.
    until INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX file_contents_unused ON file_contents (until) WHERE until IS NOT NULL;

CREATE TABLE file_pieces (
    id INTEGER PRIMARY KEY,
    content BLOB NOT NULL,
    n INTEGER NOT NULL,
    data BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX file_pieces_by_content ON file_pieces (content, n);
