-- Tokens that are sent by e-mail and used once. The store keeps their hashes; a token that was used or replaced has
-- expired. `email` is the address to which it was sent, and which its use proves.
CREATE TABLE user_tokens (
    id UUID PRIMARY KEY,
    user_id UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    purpose TEXT NOT NULL CHECK (purpose IN ('email_verification', 'password_reset', 'email_change')),
    token_hash BYTEA NOT NULL CONSTRAINT user_tokens_hash UNIQUE,
    email TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL,
    CHECK (expires_at >= created_at)
);
CREATE INDEX user_tokens_by_user ON user_tokens (user_id, purpose, created_at);
CREATE INDEX user_tokens_by_time ON user_tokens (created_at);
-- The token that is put into the text of an e-mail when it is handed to the mail server.
ALTER TABLE emails ADD COLUMN token_id UUID;
