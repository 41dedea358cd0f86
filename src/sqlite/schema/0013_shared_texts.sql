-- Long texts that several messages of the queue have in common, each kept once until the last of them is gone.

CREATE TABLE texts (
    id INTEGER PRIMARY KEY,
    text TEXT NOT NULL
) STRICT;

-- The members of a message's body that are not in its payload.
CREATE TABLE message_texts (
    message INTEGER NOT NULL,
    member TEXT NOT NULL,
    text INTEGER NOT NULL,
    PRIMARY KEY (message, member)
) STRICT, WITHOUT ROWID;
CREATE INDEX message_texts_by_text ON message_texts (text);

CREATE TRIGGER message_leaves_texts AFTER DELETE ON messages BEGIN
    DELETE FROM message_texts WHERE message = old.id;
END;

CREATE TRIGGER text_is_needed_no_more AFTER DELETE ON message_texts BEGIN
    DELETE FROM texts WHERE id = old.text AND NOT EXISTS (SELECT 1 FROM message_texts WHERE text = old.text);
END;
