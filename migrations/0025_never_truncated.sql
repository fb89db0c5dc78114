-- What never changes is not truncated either. The triggers for rows do not see it; SQLite has no TRUNCATE.
-- postgres:
CREATE TRIGGER audit_log_kept BEFORE TRUNCATE ON audit_log
FOR EACH STATEMENT EXECUTE FUNCTION audit_log_never_changes();
CREATE TRIGGER invoices_kept BEFORE TRUNCATE ON invoices
FOR EACH STATEMENT EXECUTE FUNCTION invoices_never_change();
-- end
