-- Requests by which votes were counted: the same request, sent again, counts nothing. Kept as long as the votes.

CREATE TABLE vote_counted (
    request TEXT NOT NULL PRIMARY KEY,
    hold    TEXT NOT NULL REFERENCES hold (id)
);
