-- Tickets that open a WebSocket (messaging §5.1), by the SHA-256 of their value: whoever reads the file can use none.
CREATE TABLE tickets (
    hash BLOB NOT NULL PRIMARY KEY,
    username TEXT NOT NULL,
    client_address TEXT NOT NULL,
    -- Milliseconds since 1970.
    generated INTEGER NOT NULL,
    valid_until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX tickets_by_end ON tickets (valid_until);
