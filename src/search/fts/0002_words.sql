-- Words as OpenSearch has them: taken apart by the program, so that here only spaces part them. Filled again from `bodies`.
DROP TABLE words;
CREATE VIRTUAL TABLE words USING fts5 (
    scope, summary, beginnings, description, location, mail, names,
    content = '', contentless_delete = 1, tokenize = "unicode61 remove_diacritics 0 categories 'L* M* N* P* S* C*'"
);
