-- An e-mail is written once for each event: a replay writes none again. That of a job, such as the digest, has no event.
ALTER TABLE emails ADD COLUMN event_id UUID;
CREATE UNIQUE INDEX emails_one_per_event ON emails (event_id) WHERE event_id IS NOT NULL;
