-- The last use of a session, recorded at most once in some minutes, and the client that logged in.
ALTER TABLE sessions ADD COLUMN last_used_at TIMESTAMPTZ;
ALTER TABLE sessions ADD COLUMN user_agent TEXT;
