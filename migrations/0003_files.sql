-- The files of the store: their contents are in the file storage, under their ids.
CREATE TABLE files (
    id UUID PRIMARY KEY,
    owner_id UUID NOT NULL REFERENCES users (id),
    name TEXT NOT NULL,
    content_type TEXT NOT NULL,
    size BIGINT NOT NULL CHECK (size > 0),
    sha256 BYTEA NOT NULL,
    created_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX files_by_time ON files (created_at, id);

-- The ids that may have contents in the file storage without a row in `files`: an upload is in progress or was
-- interrupted, or the file was deleted.
CREATE TABLE unused_files (
    id UUID PRIMARY KEY,
    since TIMESTAMPTZ NOT NULL
);
CREATE INDEX unused_files_by_time ON unused_files (since);
