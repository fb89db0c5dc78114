-- The audit log: the actions of administrators and those that concern the security of accounts. An entry contains the
-- hash of the one before it. It is never changed or removed; that of an erased user keeps the id.
CREATE TABLE audit_log (
    number BIGINT PRIMARY KEY CHECK (number > 0),
    occurred_at TIMESTAMPTZ NOT NULL,
    actor TEXT NOT NULL CHECK (actor IN ('user', 'guest', 'command', 'store')),
    user_id UUID,
    session_id UUID,
    request_id UUID,
    network TEXT,
    action KEYTEXT NOT NULL,
    subject_id UUID,
    changes JSONB NOT NULL,
    previous_hash BYTEA NOT NULL,
    hash BYTEA NOT NULL
);
CREATE INDEX audit_log_by_user ON audit_log (user_id, number);
CREATE INDEX audit_log_by_subject ON audit_log (subject_id, number);
CREATE INDEX audit_log_by_action ON audit_log (action, number);
-- sqlite:
CREATE TRIGGER audit_log_immutable BEFORE UPDATE ON audit_log BEGIN
    SELECT RAISE(ABORT, 'entries of the audit log never change');
END;
CREATE TRIGGER audit_log_kept BEFORE DELETE ON audit_log BEGIN
    SELECT RAISE(ABORT, 'entries of the audit log never change');
END;
-- end
-- postgres:
CREATE FUNCTION audit_log_never_changes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'entries of the audit log never change'
        USING ERRCODE = 'check_violation', CONSTRAINT = 'audit_log_immutable';
END $$;
CREATE TRIGGER audit_log_immutable BEFORE UPDATE OR DELETE ON audit_log
FOR EACH ROW EXECUTE FUNCTION audit_log_never_changes();
-- end
