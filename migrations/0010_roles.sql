-- The roles of administrators: each is a list of permissions. An administrator without one has all permissions.
CREATE TABLE roles (
    name KEYTEXT PRIMARY KEY,
    description TEXT NOT NULL,
    permissions JSONB NOT NULL,
    version BIGINT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);
-- A role that a user has cannot be removed.
ALTER TABLE users ADD COLUMN staff_role KEYTEXT REFERENCES roles (name)
    CONSTRAINT users_staff_role CHECK (staff_role IS NULL OR role = 'admin');
CREATE INDEX users_by_staff_role ON users (staff_role) WHERE staff_role IS NOT NULL;
