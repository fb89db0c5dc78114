-- The number of changes of what belongs to a user: the account, the preferences, orders with their payments,
-- notifications. What a cache keeps of them, it keeps for one version.
CREATE TABLE user_data_versions (
    user_id UUID PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    version BIGINT NOT NULL
) /* clustered */;
INSERT INTO user_data_versions (user_id, version) SELECT id, 1 FROM users;
