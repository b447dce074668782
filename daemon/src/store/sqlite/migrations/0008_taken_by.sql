-- Who of those a message is for has got it, while others have not: a channel's own words, for its next attempt.
ALTER TABLE deliveries ADD COLUMN taken_by TEXT;
