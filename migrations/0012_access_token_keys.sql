-- The keys that sign access tokens. The private keys are in no table: they follow from the ids and the secret of the
-- store.
CREATE TABLE access_token_keys (
    id UUID PRIMARY KEY,
    created_at TIMESTAMPTZ NOT NULL
);
