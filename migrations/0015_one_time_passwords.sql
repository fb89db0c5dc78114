-- The one-time passwords of users. The secret is encrypted; they are required from users.totp_since on.
CREATE TABLE one_time_passwords (
    user_id UUID PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    secret BYTEA NOT NULL,
    last_step BIGINT NOT NULL,
    failures BIGINT NOT NULL CHECK (failures >= 0),
    blocked_until TIMESTAMPTZ,
    created_at TIMESTAMPTZ NOT NULL
);
-- The SHA-256 hashes of the recovery codes that were not used.
CREATE TABLE recovery_codes (
    user_id UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    code_hash BYTEA NOT NULL,
    PRIMARY KEY (user_id, code_hash)
) /* clustered */;
ALTER TABLE users ADD COLUMN totp_since TIMESTAMPTZ;
