-- Sessions that are kept in Redis. What ends them is here, in the transaction of its cause: all of a user by another epoch
-- of the user than the one that each has, and a single one by its row, until it would have expired. So no Redis that lost
-- a command, or was restored, makes a session valid again.
ALTER TABLE users ADD COLUMN session_epoch BIGINT NOT NULL DEFAULT 0;
CREATE TABLE ended_sessions (
    session_id UUID PRIMARY KEY,
    expires_at TIMESTAMPTZ NOT NULL
) /* clustered */;
CREATE INDEX ended_sessions_by_expiry ON ended_sessions (expires_at);
