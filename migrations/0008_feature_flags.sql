-- Feature flags, which administrators change. `rollout` is the share of users in basis points.
CREATE TABLE feature_flags (
    key KEYTEXT PRIMARY KEY,
    description TEXT NOT NULL,
    enabled BOOLEAN NOT NULL,
    public BOOLEAN NOT NULL,
    rules JSONB NOT NULL,
    rollout BIGINT NOT NULL CHECK (rollout BETWEEN 0 AND 10000),
    version BIGINT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);
