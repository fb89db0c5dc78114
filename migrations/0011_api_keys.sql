-- API keys, by which programs act for a user. `hint` is the beginning of the key, which lists show; only the hash of
-- the whole key is stored. `scopes` are permissions.
CREATE TABLE api_keys (
    id UUID PRIMARY KEY,
    user_id UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name TEXT NOT NULL CHECK (LENGTH(name) BETWEEN 1 AND 100),
    hint TEXT NOT NULL CHECK (LENGTH(hint) = 12),
    key_hash BYTEA NOT NULL CONSTRAINT api_keys_key_hash UNIQUE CHECK (LENGTH(key_hash) = 32),
    scopes JSONB NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ,
    last_used_at TIMESTAMPTZ,
    CHECK (expires_at > created_at)
);
CREATE INDEX api_keys_by_user ON api_keys (user_id);
CREATE INDEX api_keys_by_time ON api_keys (created_at, id);

-- The API key by which a user acted.
ALTER TABLE audit_log ADD COLUMN api_key_id UUID;
