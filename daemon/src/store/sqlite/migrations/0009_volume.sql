-- What was traded in a bar, in units of the instrument: a decimal, or nothing where nobody told.
ALTER TABLE bars ADD COLUMN volume TEXT;
ALTER TABLE candles ADD COLUMN volume TEXT;
