-- What an e-mail is counted under, if few of its topic are written to its recipient in an hour.
ALTER TABLE emails ADD COLUMN limit_key TEXT;
CREATE INDEX emails_by_limit ON emails (limit_key, created_at) WHERE limit_key IS NOT NULL;
